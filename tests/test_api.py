"""From a table to a bundle that predicts: the whole line, on small simulated tables of several kinds."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import anlage
from anlage.errors import AnlageError
from anlage.summary import labels

FAST = {"epochs": 3, "baseline_budget": "2s", "resamples": 50, "say": lambda line: None}


def proteins(n: int = 240, seed: int = 0) -> pd.DataFrame:
    """Simulated proteins: those with label "secreted" begin with a hydrophobic stretch."""
    random = np.random.default_rng(seed)
    letters = np.array(list("ACDEFGHIKLMNPQRSTVWY"))
    rows = []
    for i in range(n):
        secreted = i % 2 == 0
        head = "".join(random.choice(list("LLLAVF"), 15)) if secreted else "".join(random.choice(letters, 15))
        body = "".join(random.choice(letters, random.integers(20, 60)))
        rows.append((f"p{i}", "M" + head + body, "secreted" if secreted else "other", len(body) + random.normal()))
    return pd.DataFrame(rows, columns=["id", "sequence", "place", "size"])


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> tuple[anlage.Run, Path]:
    folder = tmp_path_factory.mktemp("fitted")
    table = folder / "proteins.csv"
    proteins().to_csv(table, index=False)
    run = anlage.fit(table, target="place", out=folder / "run", encoder="cnn-tiny", drop="size", **FAST)
    return run, table


def test_the_bundle_has_everything(fitted: tuple[anlage.Run, Path]) -> None:
    run, _ = fitted
    for name in ("bundle.json", "weights.safetensors", "metrics.json", "report.html", "MODEL_CARD.md"):
        assert (run.path / name).stat().st_size
    assert not list(run.path.rglob("checkpoint*"))
    entry = run.evaluation["targets"]["place"]
    assert set(entry["model"]) == {"valid", "test"}
    assert {"majority class", "logistic regression", "LightGBM"} <= set(entry["baselines"])
    assert run.verdict in run.report_path.read_text() or "better" in run.report_path.read_text()
    assert entry["verdict"]["text"] == run.verdict


def test_any_order_any_subset_any_format_same_predictions(fitted: tuple[anlage.Run, Path], tmp_path: Path) -> None:
    run, table = fitted
    whole = run.predict(table)
    assert list(whole.index) == [f"p{i}" for i in range(240)]
    some = proteins().sample(frac=0.3, random_state=1).drop(columns=["place", "size"])
    for name in ("some.csv", "some.tsv", "some.parquet", "some.jsonl"):
        path = tmp_path / name
        if name.endswith("parquet"):
            some.to_parquet(path, index=False)
        elif name.endswith("jsonl"):
            some.to_json(path, orient="records", lines=True)
        else:
            some.to_csv(path, index=False, sep="," if name.endswith("csv") else "\t")
        part = run.predict(path)
        assert list(part.index) == list(some.id)
        columns = [c for c in part if "probability" in c]
        np.testing.assert_allclose(part[columns].astype(float), whole.loc[some.id, columns].astype(float), atol=1e-5)
    fasta = tmp_path / "some.fasta"
    fasta.write_text("".join(f">{i}\n{s}\n" for i, s in zip(some.id, some.sequence, strict=True)))
    pd.testing.assert_frame_equal(run.predict(fasta), part, atol=1e-5, check_names=False)


def test_streaming_gives_the_same(fitted: tuple[anlage.Run, Path]) -> None:
    run, table = fitted
    pieces = list(run.predict_stream(table, rows=50))
    assert len(pieces) == 5
    pd.testing.assert_frame_equal(pd.concat(pieces), run.predict(table), atol=1e-5)


def test_bad_rows_are_named_and_keep_their_place(fitted: tuple[anlage.Run, Path]) -> None:
    run, _ = fitted
    frame = proteins(4).drop(columns=["place", "size"]).set_index("id")
    frame.loc["p1", "sequence"] = "MKT4LL"
    frame.loc["p2", "sequence"] = None
    lines: list[str] = []
    predicted = run.predict(frame, say=lines.append)
    assert list(predicted.index) == ["p0", "p1", "p2", "p3"]
    assert predicted["place"].isna().tolist() == [False, True, True, False]
    assert any("p1" in line and "sequence" in line and "4" in line for line in lines)


def test_a_table_without_the_input_column(fitted: tuple[anlage.Run, Path]) -> None:
    run, _ = fitted
    with pytest.raises(AnlageError, match="lacks the input column 'sequence'"):
        run.predict(pd.DataFrame({"seq": ["MKT"]}))


def test_no_test_leaves_the_test_part_until_asked(tmp_path: Path) -> None:
    table = tmp_path / "proteins.csv"
    proteins().to_csv(table, index=False)
    options = {"target": "place", "encoder": "cnn-tiny", "drop": "size"} | FAST
    run = anlage.fit(table, out=tmp_path / "run", no_test=True, **options)
    assert set(run.evaluation["targets"]["place"]["model"]) == {"valid"}
    told = anlage.evaluate(run, out=tmp_path / "judged", say=lambda line: None)
    whole = anlage.fit(table, out=tmp_path / "whole", **options)
    assert told["targets"]["place"]["model"]["test"] == whole.evaluation["targets"]["place"]["model"]["test"]
    assert (tmp_path / "judged" / "report.html").exists()


def test_a_new_cohort_is_judged_beside_the_baselines(fitted: tuple[anlage.Run, Path], tmp_path: Path) -> None:
    run, _ = fitted
    told = anlage.evaluate(run, proteins(60, seed=9), out=tmp_path, say=lambda line: None)
    entry = told["targets"]["place"]
    assert entry["model"]["test"]["auroc"]["n"] == 60
    assert "LightGBM" in entry["baselines"]
    with pytest.raises(AnlageError, match="no target column 'place'"):
        anlage.evaluate(run, proteins(9).drop(columns="place"), say=lambda line: None)


def test_several_targets_of_different_tasks_share_the_encoder(tmp_path: Path) -> None:
    frame = proteins()
    frame.loc[::7, "size"] = np.nan
    frame.loc[::5, "place"] = None
    run = anlage.fit(frame.set_index("id"), target=("place", "size"), encoder="lstm-tiny", out=tmp_path / "run", **FAST)
    assert set(run.evaluation["targets"]) == {"place", "size"}
    predicted = run.predict(frame.set_index("id"))
    assert predicted["size"].notna().all() and predicted["place"].isin(["secreted", "other"]).all()


def test_every_row_is_tested_once_in_cross_validation(tmp_path: Path) -> None:
    frame = proteins(120).set_index("id")
    run = anlage.fit(frame, target="place", drop="size", encoder="cnn-tiny", folds=3, out=tmp_path / "run", **FAST)
    assert run.evaluation["targets"]["place"]["model"]["test"]["auroc"]["n"] == 120
    assert run.predict(frame)["place"].notna().all()


def test_separate_files_and_several_inputs(tmp_path: Path) -> None:
    frame = proteins().assign(age=lambda f: np.arange(len(f)) % 50)
    paths = {}
    for name, rows in {"train": slice(0, 160), "dev": slice(160, 200), "held": slice(200, 240)}.items():
        paths[name] = tmp_path / f"{name}.csv"
        frame.iloc[rows].to_csv(paths[name], index=False)
    run = anlage.fit(
        paths["train"], valid=paths["dev"], test=paths["held"], target="place", input=("sequence", "age"),
        encoder=("sequence=cnn-tiny", "mlp-tiny"), out=tmp_path / "run", **FAST,
    )  # fmt: skip
    assert run.evaluation["targets"]["place"]["model"]["test"]["auroc"]["n"] == 40
    blank = frame.iloc[:6].copy()
    blank.loc[blank.index[:3], "sequence"] = None
    assert run.predict(blank, say=lambda line: None)["place"].notna().all()


def test_an_existing_bundle_is_not_overwritten(fitted: tuple[anlage.Run, Path]) -> None:
    run, table = fitted
    before = (run.path / "bundle.json").read_bytes()
    with pytest.raises(AnlageError, match="--overwrite"):
        anlage.fit(table, target="place", out=run.path, **FAST)
    assert (run.path / "bundle.json").read_bytes() == before


def test_fitted_parts_never_see_validation_or_test_rows(tmp_path: Path) -> None:
    """Noise in every test row changes neither the weights nor what was fitted."""
    frame = proteins().assign(split=["train", "train", "train", "valid", "test", "test"] * 40).set_index("id")
    noisy = frame.copy()
    test = noisy.split == "test"
    other = proteins(seed=5)
    noisy.loc[test, "sequence"] = other.sequence.to_numpy()[test.to_numpy()]
    noisy.loc[test, "place"] = noisy.loc[test, "place"].to_numpy()[::-1]
    options = {"target": "place", "drop": "size", "encoder": "cnn-tiny"} | FAST
    one, two = (anlage.fit(f, out=tmp_path / n, **options) for n, f in {"one": frame, "two": noisy}.items())
    assert one.contents.inputs == two.contents.inputs and one.contents.targets == two.contents.targets
    assert all((w == two.contents.weights[name]).all() for name, w in one.contents.weights.items())
    valid = [run.evaluation["targets"]["place"]["baselines"]["logistic regression"]["valid"] for run in (one, two)]
    assert valid[0] == valid[1]


def test_test_rows_do_not_choose_the_inputs(tmp_path: Path) -> None:
    """A column that gives the answer away in the test rows alone stays an input; in the training rows it goes."""
    random = np.random.default_rng(0)
    frame = pd.DataFrame({"a": random.normal(size=400), "split": ["train", "train", "valid", "test"] * 100})
    frame["y"] = np.where(random.normal(size=400) + frame.a > 0, "yes", "no")
    for part, expected in (("test", ["a", "b"]), ("train", ["a"])):
        told = frame.split == part
        frame["b"] = np.where(told, (frame.y == "yes") * 1.0, random.normal(size=400))
        run = anlage.fit(frame, target="y", out=tmp_path / part, **FAST)
        assert run.contents.inputs[0]["columns"] == expected


def test_what_is_asked_for_must_exist(tmp_path: Path) -> None:
    frame = proteins(40)
    for options, message in [
        ({"target": "nowhere"}, "no column 'nowhere'"),
        ({}, "--target"),
        ({"target": "place", "encoder": "resnet"}, "fits no input"),
        ({"target": "place", "encoder": "lstmm"}, "lstm"),
        ({"target": "place", "task": "other=regression"}, "no such target"),
        ({"target": "place", "metric": "auc"}, "auroc"),
        ({"target": "place", "group": "patient"}, "patient"),
        ({"target": "place", "epoch": 3}, "epochs"),
    ]:
        with pytest.raises(AnlageError, match=message):
            anlage.fit(frame, out=tmp_path / "run", **({"drop": "size"} | FAST | options))  # type: ignore[arg-type]


def test_the_report_of_a_regression_names_its_columns(tmp_path: Path) -> None:
    run = anlage.fit(
        proteins(80).set_index("id"), target="size", drop="place", encoder="cnn-tiny", out=tmp_path, **FAST
    )
    (task,) = run.preparation.tasks
    assert labels(task) == ["size"]
    assert not hasattr(task, "labels") and "Predicted over true value" in run.report_path.read_text()
