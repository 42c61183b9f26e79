"""What every modality must keep to. A new folder in modalities/ needs an entry in EXAMPLES."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import anlage.modalities
from anlage.modalities import lookup
from anlage.modalities.protocol import Checked, Modality
from anlage.parts import TokenParts
from anlage.shapes import shape_from_json, shape_to_json
from anlage.types import Columns, Grid, Layout, Tokens

NAMES = sorted(p.parent.name for p in Path(anlage.modalities.__path__[0]).glob("*/modality.py"))
ROWS = 24


def _texts(alphabet: str, seed: int) -> list[str]:
    rng = np.random.default_rng(seed)
    return ["".join(rng.choice(list(alphabet), size=n)) for n in rng.integers(20, 60, ROWS)]


def _column(cells: list) -> pd.DataFrame:
    return pd.DataFrame({"x": pd.Series(cells, index=[f"id{i}" for i in range(len(cells))], dtype=object)})


def _record() -> pd.DataFrame:
    rng = np.random.default_rng(3)
    frame = pd.DataFrame({"age": rng.normal(60, 9, ROWS), "smoker": rng.random(ROWS) < 0.5}, dtype=object)
    frame["stage"] = rng.choice(["I", "II", "III"], ROWS)
    frame.loc[2, "age"] = None
    frame.index = [f"id{i}" for i in range(ROWS)]
    return frame


# Raw columns as a reader gives them, without missing or repeated rows (the tests add both).
EXAMPLES: dict[str, Callable[[], pd.DataFrame]] = {
    "protein": lambda: _column(_texts("ACDEFGHIKLMNPQRSTVWY", 0)),
    "dna": lambda: _column(_texts("ACGT", 1)),
    "rna": lambda: _column(_texts("ACGU", 2)),
    "record": _record,
    "image": lambda: _column(list(np.random.default_rng(4).integers(0, 256, (ROWS, 12, 10), dtype=np.uint8))),
    "vector": lambda: _column(list(np.random.default_rng(5).normal(size=(ROWS, 7)))),
}


def example(name: str) -> pd.DataFrame:
    if name not in EXAMPLES:
        pytest.fail(f"modality '{name}' has no example in EXAMPLES of {Path(__file__).name}: add one")
    return EXAMPLES[name]()


def checked(name: str) -> pd.DataFrame:
    """The example with row 0 repeated at the end, and a last row where all is missing."""
    frame = example(name)
    more = frame.iloc[[0, 0]].copy()
    more.index = pd.Index(["again", "missing"])
    frame = pd.concat([frame, more])
    for column in frame.columns:
        frame[column] = frame[column].astype(object)
    frame.iloc[-1, :] = None
    return lookup.get(name)().check(frame).frame


def fitted(name: str, rows: slice = slice(0, 16)) -> Modality:
    return lookup.get(name)().fit(checked(name).iloc[rows])


def dense(values: np.ndarray | sp.csr_matrix) -> np.ndarray:
    return values.toarray() if sp.issparse(values) else np.asarray(values)


def same(a: Layout, b: Layout) -> bool:
    assert type(a) is type(b)
    return all(torch.equal(torch.nan_to_num(x, 77.0), torch.nan_to_num(y, 77.0)) for x, y in _tensors(a, b))


def _tensors(a: Layout, b: Layout) -> list[tuple[torch.Tensor, torch.Tensor]]:
    return [(x, vars(b)[k]) for k, x in vars(a).items()]


def split_parts(layout: Layout) -> list[list[torch.Tensor]]:
    """Each part on its own."""
    if isinstance(layout, Tokens):
        sizes = layout.lengths.tolist()
        return [list(pair) for pair in zip(layout.ids.split(sizes), layout.spans.split(sizes), strict=True)]
    if isinstance(layout, Grid):
        return [[part] for part in layout.pixels]
    assert isinstance(layout, Columns)
    return [list(pair) for pair in zip(layout.numbers, layout.categories, strict=True)]


def equal_frames(a: pd.DataFrame, b: pd.DataFrame) -> bool:
    """Equal index, columns and cells (cells may be arrays)."""

    def cell(x: object, y: object) -> bool:
        if isinstance(x, np.ndarray) or isinstance(y, np.ndarray):
            return type(x) is type(y) and np.array_equal(x, y, equal_nan=True)  # type: ignore[arg-type]
        return bool(pd.isna(x) and pd.isna(y)) or x == y  # type: ignore[call-overload]

    same_axes = a.index.equals(b.index) and a.columns.equals(b.columns)
    return same_axes and all(cell(x, y) for c in a for x, y in zip(a[c], b[c], strict=True))


def test_every_modality_has_an_example_and_every_example_a_modality() -> None:
    assert sorted(EXAMPLES) == NAMES, "EXAMPLES must have one entry for each folder in modalities/"


@pytest.mark.parametrize("name", NAMES)
def test_name_and_layout(name: str) -> None:
    modality = fitted(name)
    assert modality.name == name
    assert modality.shape.layout == modality.layout
    assert shape_from_json(json.loads(json.dumps(shape_to_json(modality.shape)))) == modality.shape


@pytest.mark.parametrize("name", NAMES)
def test_check_is_idempotent_and_changes_no_input(name: str) -> None:
    raw = example(name)
    before = raw.copy(deep=True)
    once = lookup.get(name)().check(raw)
    assert isinstance(once, Checked)
    assert equal_frames(raw, before)
    twice = lookup.get(name)().check(once.frame)
    assert equal_frames(once.frame, twice.frame) and not twice.problems
    modality = fitted(name)
    again = modality.check(modality.check(raw).frame)
    assert equal_frames(modality.check(raw).frame, again.frame) and not again.problems


@pytest.mark.parametrize("name", NAMES)
def test_check_of_any_cells_names_rows_and_never_fails(name: str) -> None:
    cells = [None, float("nan"), pd.NaT, pd.NA, "", " ", "\x00", "\u00df\u0131", "[1, ", "x" * 5000, b"x", object(), {}]
    cells += [7, -1.5, float("inf"), True, 10**400, [], [[1], [2, 3]], np.zeros((0, 3)), np.array(["a"])]
    cells += [np.zeros((2, 2, 2, 2))]
    frame = _column(cells)
    for modality in (lookup.get(name)(), fitted(name)):
        if modality.joins_columns and modality.state.get("columns"):
            frame = pd.DataFrame({c: frame["x"] for c in modality.state["columns"]})
        result = modality.check(frame)
        assert result.frame.index.equals(frame.index)
        assert all(p.id is None or p.id in frame.index for p in result.problems)
        assert all("\n" not in str(p) and len(str(p)) < 300 for p in result.problems)
        modality.groups(result.frame)


@pytest.mark.parametrize("name", NAMES)
def test_state_survives_json(name: str) -> None:
    modality, frame = fitted(name), checked(name)
    said = json.loads(json.dumps(modality.to_json(), allow_nan=False))
    other = lookup.get(name)(**said["settings"])
    other.state = said["state"]
    assert other.shape == modality.shape
    everything = np.arange(len(modality.prepare(frame).parts))
    a, b = modality.prepare(frame), other.prepare(frame)
    assert np.array_equal(a.index, b.index) and same(a.parts.take(everything), b.parts.take(everything))
    x, y = modality.descriptors(frame), other.descriptors(frame)
    assert x.names == y.names and np.array_equal(dense(x.values), dense(y.values), equal_nan=True)


@pytest.mark.parametrize("name", NAMES)
def test_fit_sees_its_rows_alone(name: str) -> None:
    """Other rows of the table, checked together with the training rows, change nothing that is learned."""
    raw = example(name)
    other = raw.copy()
    for column in other.columns:
        other[column] = [*raw[column].iloc[:16], *[None] * 4, *raw[column].iloc[4:8]]
    states = []
    for table in (raw, other):
        modality = lookup.get(name)()
        states.append(modality.fit(modality.check(table).frame.iloc[:16]).to_json())
    assert states[0] == states[1]
    changed = lookup.get(name)()
    assert len(changed.prepare(changed.fit(checked(name).iloc[4:8]).check(raw).frame).parts) > 4


@pytest.mark.parametrize("name", NAMES)
def test_prepared_rows_depend_on_fitted_rows_alone(name: str) -> None:
    """A row is prepared and described alike alone and among any others."""
    modality, frame = fitted(name), checked(name)
    full, described = modality.prepare(frame), modality.descriptors(frame)
    for row in (0, 17, len(frame) - 2):
        alone = modality.prepare(frame.iloc[[row]])
        assert same(full.parts.take(full.index[[row]]), alone.parts.take(alone.index))
        one = modality.descriptors(frame.iloc[[row]])
        assert one.names == described.names
        assert np.array_equal(dense(one.values)[0], dense(described.values)[row], equal_nan=True)


@pytest.mark.parametrize("name", NAMES)
def test_parts_are_distinct_and_missing_is_minus_one(name: str) -> None:
    modality, frame = fitted(name), checked(name)
    prepared = modality.prepare(frame)
    assert prepared.index.shape == (len(frame),)
    assert prepared.index[-1] == -1
    assert prepared.index[-2] == prepared.index[0]
    assert len(prepared.parts) == len(frame) - 2 == len(set(prepared.index[:-1]))
    assert len(prepared.parts.sizes) == len(prepared.parts)


@pytest.mark.parametrize("name", NAMES)
def test_take_any_subset_in_any_order(name: str) -> None:
    modality = fitted(name)
    parts = modality.prepare(checked(name)).parts
    rng = np.random.default_rng(0)
    for which in (rng.permutation(len(parts)), np.array([3, 3, 0]), np.array([5]), np.array([], dtype=np.int64)):
        layout = parts.take(which)
        assert layout.name == modality.layout and len(layout) == len(which)
        for part, alone in zip(split_parts(layout), which, strict=True):
            expected = split_parts(parts.take(np.array([alone])))[0]
            for a, b in zip(part, expected, strict=True):
                assert torch.equal(torch.nan_to_num(a, 77.0), torch.nan_to_num(b, 77.0))


@pytest.mark.parametrize("name", NAMES)
def test_no_rows_at_all(name: str) -> None:
    modality, frame = fitted(name), checked(name).iloc[:0]
    prepared = modality.prepare(modality.check(frame).frame)
    assert len(prepared.parts) == 0 and len(prepared.index) == 0
    assert modality.descriptors(frame).values.shape == (0, len(modality.descriptors(checked(name)).names))
    assert len(modality.groups(frame)) == 0


@pytest.mark.parametrize("name", NAMES)
def test_descriptors_are_numbers_with_distinct_names(name: str) -> None:
    modality, frame = fitted(name), checked(name)
    described = modality.descriptors(frame)
    assert described.values.shape == (len(frame), len(described.names))
    assert len(set(described.names)) == len(described.names)
    assert np.isfinite(dense(described.values)[[0, 1, 17]]).all()
    assert np.array_equal(dense(described.values)[0], dense(described.values)[-2])


@pytest.mark.parametrize("name", NAMES)
def test_a_profile_is_numbers_of_each_row_alone(name: str) -> None:
    modality, frame = fitted(name), checked(name)
    full = modality.profile(frame)
    assert full, "every modality so far has numbers to show; the default is none"
    for values in full.values():
        assert values.shape == (len(frame),) and values.dtype == np.float64
        assert np.isfinite(values[[0, 1, 17]]).all() and values[0] == values[-2]
    alone, nothing = modality.profile(frame.iloc[[17]]), modality.profile(frame.iloc[:0])
    assert list(alone) == list(nothing) == list(full)
    assert all(alone[k][0] == full[k][17] and nothing[k].shape == (0,) for k in full)


@pytest.mark.parametrize("name", NAMES)
def test_equal_rows_are_one_group(name: str) -> None:
    groups = lookup.get(name)().groups(checked(name))
    assert groups.dtype == np.int64
    assert groups[0] == groups[-2] and groups[-1] == -1
    assert len(set(groups[:-1])) == len(groups) - 2


@pytest.mark.parametrize("name", NAMES)
def test_recognises_its_own_example_above_all_others(name: str) -> None:
    frame = example(name)
    for column in frame.columns:
        found = {other: r for other in NAMES if (r := lookup.get(other).recognise(column, frame[column]))}
        assert list(found) == [name], f"column {column}: {found}"
        assert 0 < found[name].score <= 1 and found[name].evidence


@pytest.mark.parametrize("name", NAMES)
def test_augment_keeps_the_shape_and_follows_the_generator(name: str) -> None:
    modality = fitted(name)
    parts = modality.prepare(checked(name)).parts
    layout = parts.take(np.arange(6))
    once, twice = (modality.augment(layout, torch.Generator().manual_seed(5)) for _ in range(2))
    assert same(once, twice)
    assert all(a.shape == b.shape and a.dtype == b.dtype for a, b in _tensors(once, layout))
    assert same(layout, parts.take(np.arange(6))), "augment must not write into the batch"


@pytest.mark.parametrize("name", NAMES)
def test_prepared_parts_travel_between_processes(name: str) -> None:
    parts = fitted(name).prepare(checked(name)).parts
    assert same(pickle.loads(pickle.dumps(parts)).take(np.arange(4)), parts.take(np.arange(4)))


TOKEN_NAMES = [n for n in NAMES if lookup.get(n).layout == "Tokens"]


@pytest.mark.parametrize("name", TOKEN_NAMES)
@given(drawn=st.data(), longest=st.integers(2, 30))
@settings(max_examples=40, deadline=None)
def test_spans_lead_back_to_the_source(name: str, drawn: st.DataObject, longest: int) -> None:
    cls = lookup.get(name)
    alphabet = cls.letters().replace("*", "")
    texts = drawn.draw(st.lists(st.text(alphabet, min_size=1, max_size=60), min_size=1, max_size=6))
    modality = cls(max_length=longest)
    frame = _column(texts)
    prepared = modality.prepare(frame)
    assert isinstance(prepared.parts, TokenParts)
    vocabulary = modality.tokens()
    for text, part in zip(texts, prepared.index, strict=True):
        layout = prepared.parts.take(np.array([part]))
        tokens = [vocabulary[i] for i in layout.ids.tolist()]
        spans = layout.spans.tolist()
        assert tokens[0] == "<start>" and tokens[-1] == "<end>" and spans[0] == spans[-1] == [0, 0]
        assert [text[a:b] for a, b in spans[1:-1]] == tokens[1:-1]
        assert len(tokens) == min(len(text), longest) + 2
        if len(text) > longest:
            head = (longest + 1) // 2
            assert "".join(tokens[1:-1]) == text[:head] + text[len(text) - longest + head :]
