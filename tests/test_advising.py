"""Advice: its rules, what it may look at, and whether the time that it tells is the time that a fit takes."""

import json
import math
import shlex
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import anlage
from anlage import cli
from anlage.advising import advise as advising
from anlage.advising import facts, rules, timing
from anlage.advising.advice import amount, duration
from anlage.advising.facts import Facts, InputFacts, Machine, TargetFacts
from anlage.commands.fit import asked
from anlage.encoders import lookup as encoders
from anlage.errors import AnlageError
from anlage.samples.settings import DataSettings
from anlage.settings import FitSettings

RECIPES = Path(__file__).parents[1] / "recipes"
CPU = Machine("cpu", False, 2, 8_000_000_000)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Little timing, on one thread: several wait for one another where the machine is busy."""
    monkeypatch.setattr(timing, "SECONDS", 0.15)
    monkeypatch.setattr(timing, "OTHER_SECONDS", 0.05)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def silent(line: str) -> None:
    pass


def proteins(n: int = 300, seed: int = 0) -> pd.DataFrame:
    """Simulated proteins of two kinds, and one in fifteen of a rare one."""
    random = np.random.default_rng(seed)
    letters = np.array(list("ACDEFGHIKLMNPQRSTVWY"))
    texts = ["M" + "".join(random.choice(letters, random.integers(30, 70))) for _ in range(n)]
    return pd.DataFrame({"sequence": texts, "place": [f"p{i % 2}" for i in range(n)], "rare": np.arange(n) % 15 == 0})


def known(rows: int, machine: Machine = CPU, **one: Any) -> Facts:
    """Facts of a table with one input and a balanced target."""
    target = TargetFacts("y", "classification", rows, {"a": rows // 2, "b": rows - rows // 2}, False, ("auroc",))
    described = InputFacts("x", **{"modality": "protein", "layout": "Tokens"} | one)
    return Facts(rows, rows // 10, 2 * rows, False, (described,), (target,), machine)


def proposed(found: Facts) -> str:
    return rules.encoders(found.inputs[0], found, "usual")[0].encoder


def test_every_rule_names_an_encoder_that_reads_its_layout_and_one_rule_always_holds() -> None:
    for layout, listed in rules.ENCODERS.items():
        for rule in listed:
            assert layout in encoders.layouts(encoders.parse(rule.encoder))
        assert listed[-1].fits(InputFacts("x", "", layout, tokens=9), known(1))
    assert rules.encoders(InputFacts("x", "", "Graph"), known(1), "gnn-tiny")[0].encoder == "gnn-tiny"


@pytest.mark.parametrize(
    ("recipe", "found"),
    [
        ("fluorescence", known(21_446, tokens=239, aligned=True)),
        ("gb1_two_vs_rest", known(381, tokens=58, aligned=True)),
        ("deeploc", known(8_945, tokens=436)),
        ("stability", known(53_614, tokens=47)),
        ("yeast_expression", known(27_754, modality="dna", tokens=112)),
        ("epdnew_tata", known(8_589, modality="dna", tokens=302)),
        ("signalp5", known(14_900, tokens=72)),
        ("pneumonia", known(4_708, modality="image", layout="Grid", pixels=(28, 28))),
        ("tcga_brca", known(120, modality="record", layout="Columns", columns=384)),
    ],
)
def test_the_rules_say_what_the_recipes_found(recipe: str, found: Facts) -> None:
    content = tomllib.loads((RECIPES / f"{recipe}.toml").read_text())
    theirs = encoders.parse(content["model"]["encoder"][0])
    assert replace(encoders.parse(proposed(found)), **_pooling(theirs)) == theirs
    assert rules.batch(found)[0]["batch_samples"] in (content["training"]["batch_samples"], 64)
    rates = rules.rates(found)
    assert rates is not None
    for name, value in rates[0].items():
        assert value == pytest.approx(content["training"].get(name, 0.001), rel=0.05)


def _pooling(settings: Any) -> dict[str, str]:
    return {"pooling": settings.pooling} if hasattr(settings, "pooling") else {}  # which auto would choose all the same


def test_few_rows_a_gpu_and_many_rows_change_the_size() -> None:
    gpu = replace(CPU, device="H100", gpu=True)
    assert proposed(known(300, tokens=400)) == "cnn-tiny"
    assert proposed(known(300_000, tokens=400)) == "cnn-small"
    assert proposed(known(300_000, machine=gpu, tokens=400)) == "cnn-medium"
    image = {"modality": "image", "layout": "Grid", "pixels": (128, 128)}
    assert proposed(known(30_000, **image)) == "resnet-small"
    assert proposed(known(3_000, **image)) == "resnet-tiny"


def test_long_sequences_get_more_tokens_in_a_batch_and_long_epochs_fewer_passes() -> None:
    assert rules.batch(known(9_000, tokens=436))[0] == {"batch_samples": 64, "batch_tokens": 16_384}
    assert rules.batch(known(9_000, tokens=50))[0] == {"batch_samples": 64}
    assert [rules.epochs(steps) for steps in (100, 300, 5_000)] == [None, 10, 5]


@pytest.mark.parametrize(
    ("task", "labels", "metric"),
    [
        ("classification", {"a": 50, "b": 50}, None),
        ("classification", {"a": 950, "b": 50}, "average_precision"),
        ("classification", {"a": 100, "b": 40, "c": 6}, None),
        ("classification", {"a": 100, "b": 40, "c": 5}, "macro_f1"),
        ("multilabel", {"a": 90, "b": 3, "c": 4}, "macro_average_precision"),
        ("multilabel", {"a": 90, "b": 30, "c": 4}, None),
        ("regression", {}, None),
    ],
)
def test_unbalanced_labels_change_the_metric(task: str, labels: dict[str, int], metric: str | None) -> None:
    rows = 100 if task == "multilabel" else sum(labels.values())
    found = rules.metric(TargetFacts("y", task, rows, labels, False, ()))
    assert (found and found[0]) == metric


def test_cautions_name_what_networks_cannot_do() -> None:
    assert any("120 labelled training rows" in line for line in rules.cautions(known(120, tokens=50), False))
    assert not any("labelled" in line for line in rules.cautions(known(120, tokens=58, aligned=True), False))
    wide = known(120, modality="record", layout="Columns", columns=384)
    assert any("384 columns" in line for line in rules.cautions(wide, False))
    dna = known(3_000, modality="dna", tokens=202)
    assert any("boosted trees" in line for line in rules.cautions(dna, False))
    assert rules.cautions(dna, pretrained=True) == []
    rare = replace(known(900), targets=(TargetFacts("y", "classification", 900, {"a": 896, "b": 4}, True, ()),))
    assert any("'b': 4" in line for line in rules.cautions(rare, False))


def test_every_beginning_of_a_spread_is_spread() -> None:
    for n in (1, 2, 7, 64, 1000):
        order = timing.spread(np.arange(n))
        assert sorted(order) == list(range(n))
        for few in (3, 7, 15):
            if few < n / 4:
                assert abs(np.mean(order[:few]) / (n - 1) - 0.5) < 0.02


def test_what_is_too_large_to_time_lies_on_a_line() -> None:
    assert timing._extrapolated([(10.0, 2.0)], 100.0) == pytest.approx(20.0)
    assert timing._extrapolated([(10.0, 2.0), (40.0, 3.5)], 100.0) == pytest.approx(6.5)
    assert timing._extrapolated([(10.0, 2.0), (40.0, 1.5)], 100.0) == pytest.approx(1.5)


def test_words_for_numbers() -> None:
    lengths = (0.0053, 0.42, 1.0, 94, 99.7, 754, 5_900, 11_000, 90_000, 466_000)
    words = ["5.3 ms", "420 ms", "1 s", "94 s", "1.7 min", "13 min", "98 min", "3.1 h", "25 h", "5.4 days"]
    assert [duration(length) for length in lengths] == words
    assert [amount(size) for size in (3e6, 99e6, 2.34e9)] == ["3 MB", "99 MB", "2.3 GB"]


def test_a_container_bounds_the_free_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free = facts._free_memory()
    assert free > 50_000_000
    (tmp_path / "limit").write_text("30000000\n")
    (tmp_path / "used").write_text("10000000\n")
    (tmp_path / "none").write_text("max\n")
    limited, unlimited = (str(tmp_path / "limit"), str(tmp_path / "used")), (str(tmp_path / "none"), "x")
    monkeypatch.setattr(facts, "_CGROUPS", (unlimited, limited))
    assert facts._free_memory() == 20_000_000


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("advice") / "small proteins.csv"
    proteins().to_csv(path, index=False)
    return path


def test_from_table_to_command(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["advise", str(table), "--target", "place", "--drop", "rare", "--no-augment", "--seed", "3"])
    told = capsys.readouterr().out
    assert "few rows" in told and "up to" in told and "--baseline-budget 5m" in told
    words = shlex.split(told.strip().splitlines()[-1])
    words = words[words.index("anlage") :]
    assert words[:3] == ["anlage", "fit", str(table)]
    settings = fit_settings(words[2:])
    assert (settings.split.folds, settings.model.encoder, settings.seed) == (5, ("cnn-tiny",), 3)
    assert not settings.training.augment
    advice = anlage.advise(table, settings=settings, say=silent)
    assert advice.settings == settings, "advice that is followed has nothing to add"
    assert isinstance(advice, anlage.Advice) and advice.fits == 6
    assert shlex.split(advice.command)[-len(words) :] == words


def fit_settings(words: list[str]) -> FitSettings:
    command = asked(words)
    data = DataSettings(**vars(command.data))
    return FitSettings(**{name: getattr(command, name) for name in FitSettings.__dataclass_fields__} | {"data": data})


def test_json_for_programs(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["advise", str(table), "--target", "rare", "place", "--encoder", "lstm-tiny", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert [target["labels"] for target in found["facts"]["targets"]][1].keys() == {"p0", "p1"}
    assert found["advice"][0] == {"about": "encoder", "choice": "recurrent (width 96, layers 1)", "why": "as you said"}
    assert not any(reason["about"] in ("rate", "metric") for reason in found["advice"]), "not for these, not for both"
    (pace,) = found["time"]["trainings"]
    whole = found["time"]["fits"] * (pace["steps"] * pace["step"] + pace["validations"] * pace["validation"])
    assert found["time"]["training_seconds_at_most"] == pytest.approx(whole)
    assert found["memory"]["needed_bytes"] > 4 * 6 * pace["weights"]


def test_rows_that_judge_are_only_counted() -> None:
    frame = proteins(360).assign(split=["train", "train", "valid", "test"] * 90)
    other = frame.copy()
    judged = other.split != "train"
    other.loc[judged, "sequence"] = "MK" * 400
    other.loc[judged, "place"] = "p0"
    first, second = (anlage.advise(one, target="place", drop="rare", say=silent) for one in (frame, other))
    assert (first.facts.inputs, first.facts.targets) == (second.facts.inputs, second.facts.targets)
    unlike = {"threads", "encoder"}  # which may follow from the time
    assert [r for r in first.reasons if r.about not in unlike] == [r for r in second.reasons if r.about not in unlike]
    assert first.facts.used == second.facts.used == 360
    assert first.settings.split.folds is None, "the table brings its split"


def test_the_time_told_is_the_time_it_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing, "SECONDS", 1.0)
    options = {"target": "place", "drop": "rare", "encoder": "cnn-tiny", "folds": 2, "epochs": 3, "patience": 0}
    advice = anlage.advise(proteins(), **options, say=silent)
    rest = {"baseline_budget": "1s", "resamples": 20, "say": silent}
    run = anlage.fit(proteins(), settings=advice.settings, out=tmp_path / "run", **rest)
    measured = run.evaluation["training"]
    assert advice.fits * advice.paces[0].steps == pytest.approx(measured["steps"], rel=0.3)
    assert measured["seconds"] / 4 < advice.training_seconds < 4 * measured["seconds"]


def test_what_trains_too_long_gives_way_to_something_smaller(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = proteins(800)[["sequence", "place"]]
    assert anlage.advise(frame, target="place", say=silent).settings.model.encoder == ("cnn-tiny:stride=1",)
    monkeypatch.setattr(advising, "TOO_LONG", 0.01)
    advice = anlage.advise(frame, target="place", say=silent)
    assert advice.settings.model.encoder == ("cnn-tiny",)
    assert "cnn-tiny:stride=1 suits the table but could train for" in advice.reasons[0].why
    bounded = anlage.advise(frame, target="place", budget="5s", say=silent)
    assert bounded.settings.model.encoder == ("cnn-tiny:stride=1",) and bounded.training_seconds <= 5


def test_batches_shrink_to_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = proteins(300)[["sequence", "place"]]
    usual = anlage.advise(frame, target="place", folds=2, say=silent)
    (pace,) = usual.paces
    scarce = int((pace.fixed_bytes + pace.batch_bytes / 3) / advising.FREE_PART)
    monkeypatch.setattr(facts, "machine", lambda settings: Machine("cpu", False, 1, scarce))
    advice = anlage.advise(frame, target="place", folds=2, say=silent)
    assert advice.settings.training.batch_samples < usual.settings.training.batch_samples
    assert advice.memory < scarce and not any("memory" in line for line in advice.cautions)
    monkeypatch.setattr(facts, "machine", lambda settings: Machine("cpu", False, 1, 1_000_000))
    assert any(
        "the system may end the fit" in line for line in anlage.advise(frame, target="place", say=silent).cautions
    )


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("pretrained")
    options = {"encoder": "cnn-tiny", "epochs": 1, "drop": "rare", "baseline_budget": "1s", "resamples": 20}
    anlage.fit(proteins(120, seed=1), target="place", out=folder, say=silent, **options)
    return str(folder)


def test_few_rows_leave_a_pretrained_encoder_as_it_is(pretrained: str) -> None:
    advice = anlage.advise(proteins(), target="place", drop="rare", encoder=pretrained, say=silent)
    assert advice.settings.adaptation.adapt == "frozen"
    assert [pace.name for pace in advice.paces] == ["frozen"]
    assert advice.vectors_seconds > 0 and advice.paces[0].learned < advice.paces[0].weights / 10
    assert "--learning-rate" not in advice.command, "rates of the rules are for encoders from scratch"


def test_more_rows_climb_as_far_as_time_allows(pretrained: str, monkeypatch: pytest.MonkeyPatch) -> None:
    frame = proteins(800)[["sequence", "place"]]
    climbing = anlage.advise(frame, target="place", encoder=pretrained, say=silent)
    assert [pace.name for pace in climbing.paces] == ["frozen", "lora", "full"]
    assert climbing.settings.adaptation.adapt is None
    frozen, lora, full = climbing.paces
    assert frozen.learned < lora.learned < full.learned == full.weights
    whole = climbing.training_seconds
    monkeypatch.setattr(advising, "TOO_LONG", frozen.training + whole / 8)
    assert anlage.advise(frame, target="place", encoder=pretrained, say=silent).settings.training.budget is not None
    monkeypatch.setattr(advising, "TOO_LONG", 0.001)
    short = anlage.advise(frame, target="place", encoder=pretrained, say=silent)
    assert short.settings.adaptation.adapt == "frozen" and "leave --adapt out" in str(short).replace(
        "\n            ", " "
    )


@pytest.mark.parametrize(("alone", "together", "expected"), [(0.1, 1.0, 1), (1.0, 0.6, 2)])
def test_one_thread_where_it_is_faster(
    alone: float, together: float, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.set_num_threads(2)
    monkeypatch.setattr(timing, "_advance", lambda loop, rows: alone if torch.get_num_threads() == 1 else together)
    monkeypatch.setattr(timing, "_prediction", lambda loop, count: 0.0)
    advice = anlage.advise(proteins(), target="place", drop="rare", say=silent)
    assert advice.environment == ({"OMP_NUM_THREADS": "1"} if expected == 1 else {})
    assert torch.get_num_threads() == 2, "what was set for the timing is set back"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "--target"),
        ({"target": "place", "adapt": "lora"}, "no encoder is pretrained"),
        ({"target": "place", "teacher": "runs/large"}, "leave --teacher out"),
        ({"target": "place", "metric": "auc"}, "no metric 'auc'"),
        ({"target": "place", "encoder": "cn-tiny"}, "no encoder is called"),
        ({"target": "place", "epoch": 3}, "did you mean"),
    ],
)
def test_what_the_user_can_mend_is_one_line(options: dict[str, Any], message: str) -> None:
    with pytest.raises(AnlageError, match=message) as raised:
        anlage.advise(proteins(100), **options, say=silent)
    assert "\n" not in str(raised.value)


def test_the_command_wants_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["advise", "--target", "y"])
    assert ended.value.code == 2 and "TABLE first" in capsys.readouterr().err


def test_times_are_numbers() -> None:
    advice = anlage.advise(proteins(200), target="place", drop="rare", say=silent)
    assert all(math.isfinite(value) and value > 0 for value in (advice.training_seconds, advice.reading, advice.memory))
    assert advice.command == "anlage.fit(table, settings=advice.settings)"
