"""Distances, ranges, limits and flags on rows of which it is known whether they are strange."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from anlage.errors import AnlageError
from anlage.evaluation import novelty as novelties
from anlage.evaluation.distance import DIRECTIONS, Distance
from anlage.evaluation.novelty import NOVELTY, Novelty, limit, measure, unusual
from anlage.evaluation.ranges import Ranges
from anlage.metrics.metric import Metric
from anlage.modalities.inputs import Input
from anlage.modalities.protein.modality import Protein
from anlage.modalities.record.modality import Record
from anlage.training.preparation import Preparation

RNG = np.random.default_rng


def correlated(n: int, seed: int) -> np.ndarray:
    """Two numbers that go together, and a third that does not."""
    rng = RNG(seed)
    first = rng.normal(size=n)
    return np.stack([first, first + 0.1 * rng.normal(size=n), 5 + 2 * rng.normal(size=n)], axis=1)


def test_distance_is_mahalanobis_where_every_direction_is_kept() -> None:
    rows = correlated(500, 0)
    standard = (rows - rows.mean(0)) / rows.std(0)
    inverse = np.linalg.inv(np.cov(standard.T))
    new = correlated(20, 1)
    moved = (new - rows.mean(0)) / rows.std(0)
    fitted = Distance.fit(rows)
    assert fitted is not None and fitted.rest > 0  # 99 % of the variance lies in two directions, the third is the rest
    assert fitted(new) == pytest.approx(np.sqrt(np.einsum("ij,jk,ik->i", moved, inverse, moved)), rel=1e-4)


def test_distance_sees_a_broken_correlation_that_no_single_number_shows() -> None:
    fitted = Distance.fit(correlated(500, 0))
    assert fitted is not None
    usual, broken = correlated(200, 1), correlated(200, 1)
    broken[:, 0] = -broken[:, 0]
    assert roc_auc_score([0] * 200 + [1] * 200, np.r_[fitted(usual), fitted(broken)]) > 0.9


def test_distance_of_wide_rows_is_bounded_in_size_and_finite_everywhere() -> None:
    rows = RNG(0).normal(size=(40, 3000)).astype(np.float32)
    rows[:, 7] = 3.0  # does not vary
    rows[0, 1] = np.nan
    fitted = Distance.fit(rows)
    assert fitted is not None and fitted.directions.shape[1] <= DIRECTIONS
    extreme = rows[:4].copy()
    extreme[0, 2], extreme[1, 2], extreme[2, 7], extreme[3] = np.inf, 1e38, 99.0, np.nan
    far = fitted(extreme)
    assert np.isfinite(far).all() and far[0] > 1000 and far[1] > 1000 and far[3] == 0
    assert far[2] == pytest.approx(fitted(rows[2:3])[0])
    assert all(Distance.fit(none) is None for none in (rows[:2], np.ones((9, 4)), rows[:, :0]))
    with pytest.raises(AnlageError, match="3,000"):
        fitted(rows[:, :5])


@pytest.mark.parametrize("n", [12, 60, 2000])
def test_limit_is_exceeded_by_no_more_than_the_share(n: int) -> None:
    """Over many draws, of chi distances as of a normal cloud, also where rows are too few for a quantile."""
    over = []
    for seed in range(200):
        rng = RNG(seed)
        drawn = np.sqrt(rng.chisquare(10, n))
        over.append(np.mean(np.sqrt(rng.chisquare(10, 2000)) > limit(drawn, 0.01)))
    assert 0.003 < np.mean(over) < 0.013
    assert limit(np.array([np.nan, 1.0]), 0.01) > 1e300


def test_ranges_say_what_lies_outside() -> None:
    ranges = Ranges.fit({"length": np.array([40.0, 1022.0, np.nan]), "GC": np.array([0.5, 0.5, 0.5])})
    assert ranges is not None
    profile = {"length": np.array([4210.0, 100.0, np.nan]), "GC": np.array([0.5, 0.9, 0.52])}
    assert ranges.why(profile, 0, 1.0) == ["length 4,210, training had 40 to 1,022"]
    assert ranges.why(profile, 1, 1.0) == ["GC 0.9, training always had 0.5"]
    assert ranges.why(profile, 2, 1.0) == []
    assert Ranges.fit({"x": np.array([np.nan])}) is None and Ranges.fit({}) is None


def table(n: int, seed: int) -> pd.DataFrame:
    rng = RNG(seed)
    letters = list("ACDEFGHIKLMNPQRSTVWY")
    share = rng.permutation(np.linspace(0.2, 2, 20)) if seed < 0 else np.linspace(0.2, 2, 20)
    texts = ["".join(rng.choice(letters, size, p=share / share.sum())) for size in rng.integers(60, 120, n)]
    age = rng.normal(60, 8, n)
    frame = pd.DataFrame({"sequence": texts, "age": age, "dose": 2 * age + rng.normal(size=n)})
    return frame.set_index(pd.Index([f"row {i}" for i in range(n)]))


def prepared(frame: pd.DataFrame, train: slice) -> tuple[Preparation, dict[str, pd.DataFrame]]:
    inputs = [Input("sequence", Protein(), ["sequence"]), Input("record", Record(), ["age", "dose"])]
    preparation = Preparation(inputs, [])
    frames = preparation.check(frame).frames
    preparation.fit({name: of.iloc[train] for name, of in frames.items()}, pd.DataFrame(index=frame.index[train]))
    return preparation, preparation.check(frame).frames


def vectors(n: int, seed: int) -> np.ndarray:
    return RNG(seed).normal(size=(n, 6)).astype(np.float32)


@pytest.fixture(scope="module")
def usual() -> tuple[Novelty, Preparation]:
    preparation, frames = prepared(table(800, 0), slice(0, 400))
    every = vectors(800, 1)
    fitted = Novelty.fit(preparation, frames, np.arange(400), np.arange(400, 800), lambda rows: every[rows])
    assert fitted is not None
    return fitted, preparation


def test_about_one_row_in_a_hundred_like_the_training_rows_is_flagged(usual: tuple[Novelty, Preparation]) -> None:
    fitted, preparation = usual
    frames = preparation.check(table(2000, 5)).frames
    found = unusual(fitted, preparation, frames, vectors(2000, 6))
    assert 0.002 < found.unusual.mean() < 0.02
    assert list(found.columns) == ["unusual", "unusual_why"] and found.index.equals(frames["record"].index)
    assert (found.unusual == (found.unusual_why != "")).all() and found.unusual.dtype == bool


def test_strange_rows_are_flagged_for_the_reason_that_is_theirs(usual: tuple[Novelty, Preparation]) -> None:
    fitted, preparation = usual
    frame = table(8, 7)
    frame.loc["row 0", "sequence"] = "ACDEFGHIKLMNPQRSTVWY" * 150
    frame.loc["row 1", "age"] = 460.0
    frame.loc["row 2", "dose"] = 90.0  # each in its range, but not together
    frame.loc["row 2", "age"] = 75.0
    frame.loc["row 3", "sequence"] = None
    frame.loc["row 4", "sequence"] = "WC" * 40
    here = vectors(8, 8)
    here[5] *= 40
    found = unusual(fitted, preparation, preparation.check(frame).frames, here)
    why = found.unusual_why
    assert "sequence: length 3,000, training had 60 to 119" in why["row 0"]
    assert "record: age 460, training had " in why["row 1"]
    assert why["row 2"].startswith("plain features of record far from the training rows (")
    assert why["row 3"] == "sequence missing, no training row lacked it"
    assert "sequence: variety of letters (bits) 1, training had" in why["row 4"]
    assert why["row 5"].startswith("the model's vector far from the training rows (")
    assert not found.unusual[["row 6", "row 7"]].any()


def test_fit_reads_training_and_validation_rows_alone() -> None:
    frame = table(120, 0)
    noise = frame.copy()
    noise.iloc[80:] = table(40, 99).to_numpy()
    found = []
    for one in (frame, noise):
        preparation, frames = prepared(one, slice(0, 60))
        every = vectors(120, 1)
        asked: list[int] = []

        def of(rows: np.ndarray, every: np.ndarray = every, asked: list[int] = asked) -> np.ndarray:
            asked += rows.tolist()
            return every[rows]

        fitted = Novelty.fit(preparation, frames, np.arange(60), np.arange(60, 80), of)
        assert fitted is not None and max(asked) == 79
        found.append(fitted.to_bytes())
    assert found[0] == found[1]
    assert Novelty.fit(preparation, frames, np.arange(60), np.arange(60, 61), of) is None


def test_a_saved_one_flags_the_same_and_holds_no_row(
    usual: tuple[Novelty, Preparation], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted, preparation = usual
    path = tmp_path / NOVELTY
    path.write_bytes(fitted.to_bytes())
    again = Novelty.read(path)
    frames, here = preparation.check(table(200, 5)).frames, 2 * vectors(200, 6)
    pd.testing.assert_frame_equal(unusual(fitted, preparation, frames, here), unusual(again, preparation, frames, here))
    assert again.limits == fitted.limits and again.rows == 400 and again.complete == ["sequence", "record"]
    monkeypatch.setattr(novelties, "_SCHEMA", 2)
    with pytest.raises(AnlageError, match="update anlage"):
        Novelty.read(path)


def test_files_that_are_none_are_named(usual: tuple[Novelty, Preparation], tmp_path: Path) -> None:
    from safetensors.numpy import save

    path, sound = tmp_path / NOVELTY, usual[0].to_bytes()
    head = '{"schema":1,"rows":3,"distances":["vector"],"complete":[],"ranges":{},"limits":{}}'
    broken = {"0 mean": np.zeros(4), "0 scale": np.ones(3), "0 directions": np.ones((4, 1)), "0 deviation": np.ones(1)}
    bad = [b"", sound[:300], save({"a": np.ones(1)}), save(broken, metadata={"novelty": head})]
    bad += [save(broken | {"0 rest": np.ones(1)}, metadata={"novelty": head})]
    bad += [save({}, metadata={"novelty": text}) for text in ("{}", "[1]", "no json", head.replace("{}", "[]"))]
    for raw in bad:
        path.write_bytes(raw)
        with pytest.raises(AnlageError, match=NOVELTY):
            Novelty.read(path)


def test_measure_tells_flagged_rows_from_usual_ones() -> None:
    truth = np.r_[np.zeros(50), np.ones(50)][:, None]
    flagged = np.zeros(100, dtype=bool)
    flagged[40:60] = True
    values = np.where(flagged, 1 - truth[:, 0], truth[:, 0])[:, None]  # wrong exactly where flagged
    right = Metric("accuracy", lambda t, v, w: (w * (t == v)[:, 0]).sum(1) / w.sum(1), True, "here")
    parts = {"valid": np.arange(0, 10), "test": np.arange(10, 100)}
    entry = measure(flagged, parts, 400, {"y": (right, truth, values)}, None, 200, 0)
    assert entry["rows"] == 400 and entry["parts"]["test"] == {"flagged": 20, "of": 90}
    assert entry["parts"]["valid"] == {"flagged": 0, "of": 10}
    assert entry["scores"]["y"]["flagged"]["value"] == 0 and entry["scores"]["y"]["flagged"]["n"] == 20
    assert entry["scores"]["y"]["usual"]["value"] == 1 and entry["scores"]["y"]["usual"]["n"] == 70
    few = measure(np.arange(100) == 50, parts, 400, {"y": (right, truth, values)}, np.arange(100) // 2, 200, 0)
    assert few["scores"]["y"]["flagged"] is None and few["scores"]["y"]["usual"]["n_groups"] == 45
