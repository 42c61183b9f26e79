"""The spread over seeds."""

import pytest

from anlage.errors import AnlageError
from anlage.evaluation.seeds import over_seeds


def run(value: float | None, baseline: str | None = "linear", metric: str = "auroc", part: str | None = "test") -> dict:
    measured = {} if part is None else {part: {metric: {"value": value, "low": None, "high": None}}}
    return {
        "targets": {
            "died": {
                "primary": metric,
                "verdict": {"part": part, "baseline": baseline},
                "model": measured,
                "baselines": {
                    "linear": {"test": {metric: {"value": 0.7}}},
                    "trees": {"test": {metric: {"value": 0.8}}},
                },
            }
        }
    }


def test_mean_and_standard_deviation_over_seeds_beside_the_baseline_that_each_had_to_beat():
    found = over_seeds({3: run(0.8), 4: run(0.9, "trees"), 7: run(0.85)})
    assert found["seeds"] == [3, 4, 7]
    died = found["targets"]["died"]
    assert died["values"] == [0.8, 0.9, 0.85] and died["baseline"] == [0.7, 0.8, 0.7] and died["metric"] == "auroc"
    assert died["mean"] == pytest.approx(0.85) and died["sd"] == pytest.approx(0.05)


def test_undefined_values_are_kept_and_left_out_of_the_mean():
    died = over_seeds({0: run(0.8), 1: run(None)})["targets"]["died"]
    assert died["values"] == [0.8, None] and died["mean"] == 0.8 and died["sd"] is None
    assert over_seeds({0: run(None)})["targets"]["died"]["mean"] is None


def test_no_baseline_leaves_an_empty_list():
    assert over_seeds({0: run(0.8, None), 1: run(0.8)})["targets"]["died"]["baseline"] == []


def test_runs_that_do_not_belong_together_are_refused():
    with pytest.raises(AnlageError, match="seeds 0 and 1 were judged by other targets or metrics"):
        over_seeds({0: run(0.8), 1: run(0.8, metric="mcc")})
    with pytest.raises(AnlageError, match="seed 0, target died: judged on no row"):
        over_seeds({0: run(0.8, part=None)})
    with pytest.raises(AnlageError, match="no run"):
        over_seeds({})
