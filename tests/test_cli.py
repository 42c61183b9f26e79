"""The command line, as a user meets it: in a process of its own where exit codes and streams matter."""

import json
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from anlage import __version__, cli
from anlage.commands import fit
from anlage.config import option_groups

SRC = Path(__file__).parents[1] / "src"


def anlage(*words: object, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(SRC), "OMP_NUM_THREADS": "1", "COLUMNS": "100", **(env or {})}
    return subprocess.run(
        [sys.executable, "-m", "anlage", *map(str, words)], capture_output=True, text=True, env=environment, timeout=120
    )


def assert_one_line(result: subprocess.CompletedProcess[str], code: int, *parts: str) -> None:
    lines = result.stderr.strip().splitlines()
    assert result.returncode == code, result.stderr
    assert lines and lines[-1].startswith("anlage: "), result.stderr
    assert "Traceback" not in result.stderr + result.stdout
    for part in parts:
        assert part in lines[-1]


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """120 records of two classes that a line separates."""
    generator = np.random.default_rng(0)
    size, age = generator.normal(size=(2, 120))
    label = np.where(size + 0.2 * generator.normal(size=120) > 0, "ill", "well")
    path = tmp_path_factory.mktemp("table") / "cohort.csv"
    pd.DataFrame({"id": [f"p{i}" for i in range(120)], "size": size, "age": age, "state": label}).to_csv(
        path, index=False
    )
    return path


@pytest.fixture(scope="module")
def fitted(table: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle made on the command line, from a recipe that flags override."""
    folder = tmp_path_factory.mktemp("fit")
    recipe = folder / "recipe.toml"
    recipe.write_text(
        "[data]\ntable = '${COHORT}'\ntarget = 'state'\n[training]\nepochs = 2\nbatch_samples = 32\n"
        "[evaluation]\nresamples = 50\nbaseline_budget = '2s'\n"
    )
    words = [
        "fit",
        "--recipe",
        recipe,
        "--out",
        folder / "run",
        "--epochs",
        "3",
        "--encoder",
        "mlp-tiny",
        "--seed",
        "7",
    ]
    result = anlage(*words, env={"COHORT": str(table)})
    assert result.returncode == 0, result.stderr
    assert "baseline" in result.stderr
    assert str(folder / "run" / "report.html") in result.stdout
    return folder / "run"


def test_help_teaches() -> None:
    result = anlage("--help")
    assert result.returncode == 0
    for command in cli.commands():
        assert f"anlage {command}" in result.stdout
        shown = anlage(command, "--help")
        assert shown.returncode == 0 and f"  anlage {command} " in shown.stdout
    assert anlage("--version").stdout == f"anlage {__version__}\n"
    assert anlage().returncode == 2


def test_every_setting_is_a_flag_with_help() -> None:
    shown = anlage("fit", "--help").stdout
    for name in set(option_groups()) - {"table"}:
        flag = name.replace("_", "-")
        assert f"--{flag}" in shown or f"--no-{flag}" in shown


def test_every_command_has_examples() -> None:
    for name in cli.commands():
        examples = import_module(f"anlage.commands.{name}").EXAMPLES.strip().splitlines()
        assert examples and all(line.startswith("anlage ") for line in examples)
        assert f"anlage {name}" in cli.HELP


def test_flags_override_the_recipe_and_the_recipe_the_defaults(fitted: Path) -> None:
    settings = json.loads((fitted / "bundle.json").read_text())["settings"]
    assert settings["training"]["epochs"] == 3
    assert settings["training"]["batch_samples"] == 32
    assert settings["training"]["patience"] == 5
    assert settings["seed"] == 7


@pytest.mark.parametrize(
    ("recipe", "words", "expected"),
    [
        ("", ["--no-augment"], False),
        ("", ["--augment"], True),
        ("[training]\naugment = false", [], False),
        ("[training]\naugment = false", ["--no-augment"], False),
        ("[training]\naugment = false", ["--augment"], True),
    ],
)
def test_both_forms_of_a_switch(tmp_path: Path, recipe: str, words: list[str], expected: bool) -> None:
    path = tmp_path / "r.toml"
    path.write_text(recipe)
    assert fit.asked(["x.csv", "--recipe", str(path), *words]).training.augment is expected


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet", ".jsonl"])
def test_predict_writes_files(fitted: Path, table: Path, tmp_path: Path, suffix: str) -> None:
    out = tmp_path / f"predictions{suffix}"
    result = anlage("predict", fitted, table, "-o", out)
    assert result.returncode == 0, result.stderr
    read = {".csv": pd.read_csv, ".tsv": pd.read_table, ".parquet": pd.read_parquet}
    frame = read[suffix](out) if suffix in read else pd.read_json(out, lines=True)
    assert list(frame["id"]) == [f"p{i}" for i in range(120)]
    assert set(frame["state"]) <= {"ill", "well"}


def test_predict_shows_the_first_rows(fitted: Path, table: Path) -> None:
    result = anlage("predict", fitted, table)
    assert result.returncode == 0, result.stderr
    assert "p19" in result.stdout and "p20" not in result.stdout


def test_evaluate_writes_a_report(fitted: Path, table: Path, tmp_path: Path) -> None:
    result = anlage("evaluate", fitted, table, "--out", tmp_path / "new")
    assert result.returncode == 0, result.stderr
    assert "state" in json.loads((tmp_path / "new" / "metrics.json").read_text())["targets"]
    assert (tmp_path / "new" / "report.html").exists()


def test_inspect(table: Path) -> None:
    shown = anlage("inspect", table, "--target", "state")
    assert shown.returncode == 0, shown.stderr
    assert "120 rows" in shown.stdout and "ill" in shown.stdout
    found = json.loads(anlage("inspect", table, "--target", "state", "--json").stdout)
    assert found["rows"] == 120 and sum(found["labels"]["state"].values()) == 120


def test_mistakes_are_one_line_and_exit_2(fitted: Path, table: Path, tmp_path: Path) -> None:
    assert_one_line(anlage("fitt"), 2, "unknown command 'fitt'", "fit, inspect, predict")
    assert_one_line(anlage("fit"), 2, "TABLE")
    assert_one_line(anlage("fit", "--target", "y", "no.csv"), 2, "TABLE first")
    assert_one_line(anlage("fit", tmp_path / "no.csv", "--target", "y", "--out", tmp_path / "a"), 2, "no.csv")
    assert_one_line(anlage("fit", table, "--target", "stat", "--out", tmp_path / "b"), 2, "stat")
    assert_one_line(anlage("fit", table, "--recipe", tmp_path / "no.toml"), 2, "no.toml")
    assert_one_line(anlage("fit", table, "--target", "state", "--out", fitted), 2, str(fitted), "--overwrite")
    assert_one_line(anlage("fit", "--resume", tmp_path / "no"), 2, "nothing to resume")
    assert_one_line(anlage("predict", tmp_path, table), 2, str(tmp_path))
    assert_one_line(anlage("predict", fitted, table, "-o", tmp_path / "p.xlsx"), 2, "p.xlsx", ".csv")
    assert anlage("fit", table, "--epochs", "many").returncode == 2
    assert anlage("fit", table, "--epochz", "3").returncode == 2


def run_main(words: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    with pytest.raises(SystemExit) as exit_:
        cli.main(words)
    return int(exit_.value.code or 0), capsys.readouterr().err


def test_a_fault_of_anlage_is_one_line_and_a_traceback_only_when_asked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(words: object) -> None:
        raise ZeroDivisionError("on\ntwo lines")

    monkeypatch.setattr(fit, "fit", broken)
    monkeypatch.delenv("ANLAGE_DEBUG", raising=False)
    code, said = run_main(["fit"], capsys)
    assert code == 1 and said.count("\n") == 1
    assert "internal error: ZeroDivisionError: on two lines" in said and "report" in said
    monkeypatch.setenv("ANLAGE_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        cli.main(["fit"])


def test_an_interrupted_fit_says_how_to_go_on(table: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    words = ["fit", table, "--target", "state", "--out", out, "--epochs", "1000000", "--patience", "1000000"]
    process = subprocess.Popen(
        [sys.executable, "-m", "anlage", *map(str, words)],
        env={**os.environ, "PYTHONPATH": str(SRC), "OMP_NUM_THREADS": "1"},
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    assert process.stderr is not None
    said = []
    for line in process.stderr:  # `step ...` is said after the first validation
        said.append(line)
        if line.startswith("step "):
            process.send_signal(2)
            break
    said += process.stderr.readlines()
    assert process.wait(timeout=60) == 130, "".join(said)
    assert said[-1].startswith("anlage: ") and f"anlage fit --resume {out}" in said[-1]
    assert "Traceback" not in "".join(said)
