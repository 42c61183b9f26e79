"""Settings ⇄ recipes ⇄ flat options."""

import re
from collections import Counter
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anlage.config import from_dict, load_settings, merge, option_groups, save_settings, to_dict
from anlage.errors import AnlageError
from anlage.settings import FitSettings

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
CHANGES = st.fixed_dictionaries(
    {},
    optional={
        "seed": st.integers(0, 2**62),
        "target": st.lists(TEXT, max_size=3),
        "id": TEXT,
        "group": st.none() | TEXT,
        "folds": st.none() | st.integers(2, 20),
        "learning_rate": st.floats(1e-9, 10, allow_nan=False),
        "augment": st.booleans(),
        "device": st.sampled_from(["auto", "cpu", "cuda", "mps"]),
        "encoder": st.lists(TEXT, max_size=2),
    },
)


def test_field_names_are_unique_over_the_groups() -> None:
    hints = get_type_hints(FitSettings)
    names = [f.name for hint in hints.values() if is_dataclass(hint) for f in fields(hint)]
    names += [name for name, hint in hints.items() if not is_dataclass(hint)]
    assert [name for name, n in Counter(names).items() if n > 1] == []
    assert set(option_groups()) == set(names)


@given(CHANGES)
def test_dict_round_trip(changes: dict) -> None:
    changed = merge(FitSettings(), changes)
    assert from_dict(to_dict(changed)) == changed


@given(CHANGES)
@settings(max_examples=50)
def test_recipe_round_trip(tmp_path_factory: pytest.TempPathFactory, changes: dict) -> None:
    changed = merge(FitSettings(), changes)
    path = tmp_path_factory.mktemp("recipe") / "recipe.toml"
    save_settings(changed, path)
    assert load_settings(path) == changed


def test_merge_puts_flat_options_where_they_belong() -> None:
    merged = merge(
        FitSettings(seed=5), {"target": "y", "input": ["a", "b"], "epochs": 3, "clip": 2, "table": Path("t")}
    )
    assert merged.seed == 5
    assert merged.data.target == ("y",)
    assert merged.data.input == ("a", "b")
    assert merged.data.table == "t"
    assert merge(FitSettings(), {"target": 3, "drop": [0, 1]}).data.drop == ("0", "1")  # columns may be numbers
    assert merged.training.epochs == 3
    assert merged.training.clip == 2.0 and isinstance(merged.training.clip, float)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epoch": 3}, "did you mean 'epochs'"),
        ({"learning-rate": 3}, "did you mean 'learning_rate'"),
        ({"epochs": "many"}, "epochs must be a whole number"),
        ({"epochs": True}, "epochs must be a whole number"),
        ({"device": "tpu"}, "device must be one of auto, cpu"),
        ({"augment": 1}, "augment must be true or false"),
        ({"target": 3.5}, "target must be a list of text"),
        ({"target": ["y", 3.5]}, "target must be text"),
        ({"qqqqqq": 3}, "possible are"),
        ({"epochs": 0}, "--epochs 0: give 1 or more"),
        ({"learning_rate": 0.0}, "--learning-rate 0.0: give a number above 0"),
        ({"average": 1.0}, "--average 1.0: give a number from 0 to below 1"),
        ({"resamples": 0}, "--resamples 0"),
        ({"seed": -1}, "--seed -1"),
        ({"test_fraction": 1.5}, "--test-fraction 1.5"),
        ({"folds": 1}, "--folds 1"),
    ],
)
def test_merge_says_what_is_wrong(options: dict, message: str) -> None:
    with pytest.raises(AnlageError, match=message):
        merge(FitSettings(), options)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[training]\nepoch = 3", "did you mean 'epochs'"),
        ("epochs = 3", r"belongs under \[training\]"),
        ("[training]\ntarget = 'y'", r"belongs under \[data\]"),
        ("[data]\nseed = 3", "belongs at the top"),
        ("[trainin]\nepochs = 3", "did you mean 'training'"),
        ("training = 3", "must be a table"),
        ("[training]\nepochs = 'x'", "training.epochs must be a whole number"),
        ("seed = ", "not valid TOML"),
        ("[data]\ntable = '${ANLAGE_NO_SUCH}/x.csv'", "ANLAGE_NO_SUCH is not set"),
    ],
)
def test_a_bad_recipe_is_one_clear_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(text)
    with pytest.raises(AnlageError, match=message) as caught:
        load_settings(path)
    assert "recipe.toml" in str(caught.value)


def test_a_recipe_that_is_not_there_or_not_text(tmp_path: Path) -> None:
    with pytest.raises(AnlageError, match="no such file"):
        load_settings(tmp_path / "none.toml")
    with pytest.raises(AnlageError, match="cannot be read"):
        load_settings(tmp_path)
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(AnlageError, match="cannot be read"):
        load_settings(tmp_path / "binary.toml")


def test_paths_in_recipes_know_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANLAGE_TEST_DATA", "/somewhere")
    path = tmp_path / "recipe.toml"
    path.write_text("[data]\ntable = '${ANLAGE_TEST_DATA}/a.csv'\ntest = 'b.csv'\nwhere = ['x=${ANLAGE_TEST_DATA}']")
    data = load_settings(path).data
    assert data.table == "/somewhere/a.csv"
    assert data.test == "b.csv"
    assert data.where == ("x=${ANLAGE_TEST_DATA}",)


def test_every_recipe_in_the_repository_is_valid(monkeypatch: pytest.MonkeyPatch) -> None:
    for path in sorted((Path(__file__).parents[1] / "recipes").glob("**/*.toml")):
        for name in re.findall(r"\$\{(\w+)\}", path.read_text()):
            monkeypatch.setenv(name, "/somewhere")
        load_settings(path)
