"""What every task must keep. A new task fails here until EXAMPLES has a table for it."""

import json

import numpy as np
import pandas as pd
import pytest
import torch

from anlage.draws import Draws
from anlage.errors import AnlageError
from anlage.tasks import lookup
from anlage.tasks.protocol import Task
from anlage.types import Batch, Encoded


def _ids(frame: pd.DataFrame) -> pd.DataFrame:
    frame.index = pd.Index([f"row{i}" for i in range(len(frame))])
    return frame


RNG = np.random.default_rng(0)
EXAMPLES: dict[str, dict[str, pd.DataFrame]] = {
    "classification": {
        "words": _ids(pd.DataFrame({"place": ["nucleus", "membrane", None, "cytoplasm"] * 6})),
        "binary": _ids(pd.DataFrame({"ill": [True, False, None, False] * 6})),
        "rare": _ids(pd.DataFrame({"kind": ["a"] * 50 + ["b"] * 2 + ["c"] * 10 + [None]})),
    },
    "multilabel": {
        "joined": _ids(pd.DataFrame({"labels": ["a;b", "b", None, "a; c", "c"] * 5})),
        "columns": _ids(pd.DataFrame({"t1": [0, 1, np.nan, 1, 0] * 5, "t2": [1, 1, 0, np.nan, 0] * 5})),
        "rare": _ids(pd.DataFrame({"t1": [0] * 45 + [1] * 2 + [np.nan], "t2": [1, 0, np.nan] * 16})),
    },
    "regression": {
        "one": _ids(pd.DataFrame({"level": [*RNG.normal(5, 3, 20), np.nan]})),
        "several": _ids(pd.DataFrame({"x": [*RNG.normal(0, 1, 20), np.nan], "y": [np.nan, *RNG.normal(900, 100, 20)]})),
    },
}
UNSEEN = {
    "classification": {"place": ["nowhere"]},
    "multilabel": {"labels": ["a;nowhere"]},
    "regression": {"level": ["nowhere"]},
}
"""A cell that cannot be read after fitting on the first example; the problem must quote "nowhere"."""

CASES = [(name, key) for name, tables in EXAMPLES.items() for key in tables]


def fitted(name: str, key: str) -> tuple[Task, pd.DataFrame]:
    frame = EXAMPLES[name][key]
    return lookup.get(name)("t", list(frame.columns)).fit(frame), frame


def outputs(task: Task, rows: int, seed: int = 0) -> torch.Tensor:
    torch.manual_seed(seed)
    head = task.head(8).eval()
    return head(Encoded(pooled=torch.randn(rows, 8))).detach()


def test_every_task_has_examples():
    assert set(lookup.names()) == set(EXAMPLES) == set(UNSEEN)


@pytest.mark.parametrize(("name", "key"), CASES)
class TestTask:
    def test_is_recognised_with_evidence(self, name, key):
        cls, evidence = lookup.recognise(EXAMPLES[name][key])
        assert cls.name == name and evidence

    def test_survives_json(self, name, key):
        task, frame = fitted(name, key)
        again = lookup.from_json(json.loads(json.dumps(task.to_json(), allow_nan=False)))
        assert type(again) is type(task) and again.state == task.state and again.to_json() == task.to_json()
        np.testing.assert_array_equal(again.encode(frame), task.encode(frame))
        raw = outputs(task, 5)
        np.testing.assert_array_equal(again.decode(raw), task.decode(raw))
        assert again.notes == task.notes

    def test_truth_is_float32_and_unknown_where_missing(self, name, key):
        task, frame = fitted(name, key)
        truth = task.encode(frame)
        assert truth.dtype == np.float32 and truth.ndim == 2 and len(truth) == len(frame)
        if key != "joined":  # an empty cell of joined labels has none of them
            np.testing.assert_array_equal(np.isnan(truth), frame.isna().to_numpy())

    def test_order_of_rows_does_not_matter(self, name, key):
        task, frame = fitted(name, key)
        again, _ = lookup.get(name)("t", list(frame.columns)).fit(frame.iloc[::-1]), None
        np.testing.assert_array_equal(task.encode(frame)[::-1], again.encode(frame.iloc[::-1]))

    def test_loss_is_a_sum_and_a_count_over_any_split_of_a_batch(self, name, key):
        task, frame = fitted(name, key)
        target, raw = torch.from_numpy(task.encode(frame)), outputs(task, len(frame))
        total, count = task.loss(raw, target)
        parts = [task.loss(raw[rows], target[rows]) for rows in (slice(0, 3), slice(3, 4), slice(4, None))]
        torch.testing.assert_close(sum(p[0] for p in parts), total)
        assert sum(int(p[1]) for p in parts) == int(count) > 0

    def test_missing_truth_counts_nothing(self, name, key):
        task, frame = fitted(name, key)
        target = torch.from_numpy(task.encode(frame))
        raw = outputs(task, len(frame)).requires_grad_()
        total, count = task.loss(raw, target)
        total.backward()
        assert torch.isfinite(total) and torch.isfinite(raw.grad).all()
        gone = torch.isnan(target)
        hidden = gone if raw.shape == target.shape else gone.expand_as(raw)
        assert (raw.grad[hidden] == 0).all() and (raw.grad[~hidden] != 0).any()
        nothing, none = task.loss(raw, torch.full_like(target, torch.nan))
        assert nothing.item() == 0 and int(none) == 0

    def test_a_tiny_head_learns_the_training_rows(self, name, key):
        task, frame = fitted(name, key)
        torch.manual_seed(0)
        target, pooled = torch.from_numpy(task.encode(frame)), torch.randn(len(frame), 32)
        head = task.head(32).eval()  # no dropout: it has to fit by heart
        optimiser = torch.optim.Adam(head.parameters(), lr=1e-2)
        first = None
        for _ in range(300):
            total, count = task.loss(head(Encoded(pooled=pooled)), target)
            loss = total / count
            first = loss.item() if first is None else first
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        assert loss.item() < 0.05 * first
        values = task.decode(head(Encoded(pooled=pooled)))
        primary = next(iter(task.metrics.values()))
        assert primary.greater_is_better and primary(target.numpy(), values) > 0.97

    def test_decoding_agrees_with_encoding(self, name, key):
        """Values made of the truth itself have the best possible metrics and come back as the table's own cells."""
        task, frame = fitted(name, key)
        truth = task.encode(frame)
        values = perfect(task, truth)
        for metric in task.metrics.values():
            best = 1.0 if metric.greater_is_better else 0.0
            assert metric(truth, values) == pytest.approx(best, abs=1e-6), metric.name
        columns = task.to_columns(values)
        assert all(c.startswith("t") and len(v) == len(frame) for c, v in columns.items())
        back = pd.DataFrame(columns)
        back = _ids(back[["t"]] if "t" in back and len(task.columns) == 1 else recover(task, back))
        back.columns = task.columns
        known = ~np.isnan(truth).any(axis=1)
        np.testing.assert_allclose(task.encode(back)[known], truth[known], rtol=1e-6)

    def test_values_are_what_metrics_read(self, name, key):
        task, frame = fitted(name, key)
        raw = outputs(task, len(frame)).to(torch.bfloat16)
        values = task.decode(raw)
        assert values.dtype == np.float64 and values.ndim == 2 and np.isfinite(values).all()
        weights = np.array([[0, 1, 2] * 7 + [1] * (len(frame) - 21)])
        truth = task.encode(frame)
        rows = np.repeat(np.arange(len(frame)), weights[0])
        for metric in task.metrics.values():
            repeated = metric(truth[rows], values[rows])
            assert metric.function(truth, values, weights)[0] == pytest.approx(repeated, abs=1e-9, nan_ok=True)

    def test_views_are_the_batch_with_its_target(self, name, key):
        task, frame = fitted(name, key)
        target = torch.from_numpy(task.encode(frame))
        batch = Batch(parts={}, index={}, rows=torch.arange(len(frame)), targets={"t": target})
        views = list(task.views(batch, Draws(0, 0)))
        assert len(views) >= 1 and all(len(v) == len(t) for v, t in views)

    def test_learns_from_the_rows_given_alone(self, name, key):
        task, frame = fitted(name, key)
        task.encode(frame.iloc[:3])
        task.check(frame.iloc[:3])
        assert task.state == fitted(name, key)[0].state


def perfect(task: Task, truth: np.ndarray) -> np.ndarray:
    if task.name == "classification":
        return np.eye(len(task.labels))[np.nan_to_num(truth[:, 0]).astype(int)]
    return np.nan_to_num(truth.astype(np.float64))


def recover(task: Task, columns: pd.DataFrame) -> pd.DataFrame:
    """The columns of a target of several columns: its values, or 0/1 from the probabilities."""
    if task.name == "regression":
        return columns[[f"t_{c}" for c in task.columns]].copy()
    return (columns[[f"t_probability_{c}" for c in task.columns]] >= 0.5).astype(int)


@pytest.mark.parametrize("name", sorted(UNSEEN))
def test_what_was_not_seen_in_training_is_named_and_missing(name):
    task, frame = fitted(name, next(iter(EXAMPLES[name])))
    strange = pd.DataFrame(UNSEEN[name], index=["x7"])
    problems = task.check(strange)
    assert len(problems) == 1
    assert problems[0].id == "x7" and problems[0].column == frame.columns[0] and "nowhere" in problems[0].reason
    truth = task.encode(strange)
    assert np.isnan(truth).all() or name == "multilabel"


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_nothing_to_learn_is_one_clear_line(name):
    columns = list(next(iter(EXAMPLES[name].values())).columns)
    for value in (None, 1):
        frame = _ids(pd.DataFrame({c: [value] * 4 for c in columns}))
        with pytest.raises(AnlageError) as error:
            lookup.get(name)("t", columns).fit(frame)
        assert columns[0] in str(error.value) or "target t" in str(error.value)
        assert "\n" not in str(error.value)
