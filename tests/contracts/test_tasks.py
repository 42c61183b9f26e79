"""What every task must keep. A new task fails here until EXAMPLES (an objective: OBJECTIVES) has a table for it."""

import json
from collections.abc import Callable
from dataclasses import fields, replace

import numpy as np
import pandas as pd
import pytest
import torch

from anlage.draws import HELD_OUT, Draws
from anlage.encoders import lookup as encoders
from anlage.errors import AnlageError
from anlage.evaluation.objective_baselines import objective_baselines
from anlage.modalities.image.modality import Image
from anlage.modalities.protein.modality import Protein
from anlage.modalities.protocol import Modality
from anlage.modalities.record.modality import Record
from anlage.model import Model
from anlage.tasks import lookup
from anlage.tasks.objective import Objective
from anlage.tasks.protocol import Task
from anlage.tasks.token_objective import TokenObjective
from anlage.training.batches import PreparedTable
from anlage.training.predict import predict
from anlage.types import Batch, Encoded, Layout


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


# Objectives: tasks that make their own target


def _sequences() -> tuple[Modality, pd.DataFrame]:
    rng, letters = np.random.default_rng(0), np.array(list("ACDEFGHIKL"))
    walks = [np.cumsum(rng.integers(1, 3, size=n)) % 10 for n in rng.integers(8, 40, 60)]  # the next is one or two on
    return Protein(), _ids(pd.DataFrame({"x": ["".join(letters[walk]) for walk in walks]}))


def _records() -> tuple[Modality, pd.DataFrame]:
    rng = np.random.default_rng(0)
    size = rng.normal(size=80)
    frame = pd.DataFrame({"size": size, "weight": 2 * size + 0.1 * rng.normal(size=80)})
    frame["kind"] = np.where(size > 0, "large", "small")
    frame.loc[3:6, "size"] = np.nan
    frame.loc[5:9, "kind"] = None
    return Record(), _ids(frame)


def _images() -> tuple[Modality, pd.DataFrame]:
    rng = np.random.default_rng(0)
    slope = rng.normal(size=(40, 2))
    y, x = np.mgrid[-1:1:12j, -1:1:10j]
    planes = 128 + 50 * (slope[:, :1, None] * y + slope[:, 1:, None] * x) + rng.normal(size=(40, 12, 10))
    cells = list(planes.clip(0, 255).astype(np.uint8))
    return Image(flip=True), _ids(pd.DataFrame({"x": pd.Series(cells, dtype=object)}))


OBJECTIVES: dict[str, Callable[[], tuple[Modality, pd.DataFrame]]] = {
    "contrastive": _images,
    "denoising": _records,
    "masked": _sequences,
    "masked_patches": _images,
    "next_token": _sequences,
}
ENCODERS = {"Tokens": "transformer-tiny", "Grid": "resnet-tiny", "Columns": "mlp-tiny"}


def objective_on(name: str) -> tuple[Objective, PreparedTable]:
    modality, frame = OBJECTIVES[name]()
    modality.fit(frame)
    objective = lookup.objective(name)(name, ["x"]).bind(modality.shape, modality.augment)
    return objective, PreparedTable({"x": modality.prepare(frame)}, {name: np.zeros((len(frame), 1), dtype=np.float32)})


def model_for(objective: Objective, dropout: bool = False) -> Model:
    torch.manual_seed(0)
    settings = encoders.parse(ENCODERS[objective.shape.layout])
    if isinstance(objective, TokenObjective):
        settings = replace(settings, attention="causal" if objective.causal else "full", pooling="mean")  # type: ignore[call-arg]
    if not dropout:
        off = {f.name: 0.0 for f in fields(settings) if f.name.endswith("dropout")}
        settings = replace(settings, **off)
    return Model({"x": encoders.build(settings, objective.shape)}, [objective])


def test_every_objective_has_examples():
    assert set(lookup.objectives()) == set(OBJECTIVES)
    assert set(OBJECTIVES) & set(lookup.names()) == set()


@pytest.mark.parametrize("name", sorted(OBJECTIVES))
class TestObjective:
    def test_is_asked_for_by_name_and_never_recognised_in_a_column(self, name):
        with pytest.raises(AnlageError, match="anlage pretrain"):
            lookup.get(name)
        assert all(lookup.objective(name).recognise(frame) is None
                   for tables in EXAMPLES.values() for frame in tables.values())  # fmt: skip

    def test_survives_json(self, name):
        objective, table = objective_on(name)
        again = lookup.from_json(json.loads(json.dumps(objective.to_json(), allow_nan=False)))
        assert type(again) is type(objective) and again.to_json() == objective.to_json()
        assert list(again.metrics) == list(objective.metrics)
        assert again.head(8).state_dict().keys() == objective.head(8).state_dict().keys()
        again.bind(objective.shape, objective.augment)
        batch = table.batch(np.arange(5))
        for (_, one), (_, two) in zip(objective.views(batch, HELD_OUT), again.views(batch, HELD_OUT), strict=True):
            torch.testing.assert_close(one, two, equal_nan=True)

    def test_views_leave_the_batch_as_it_is_and_follow_from_the_draws(self, name):
        objective, table = objective_on(name)
        batch, untouched = table.batch(np.arange(20)), table.batch(np.arange(20))
        views = {step: list(objective.views(batch, Draws(0, step))) for step in (0, 1)}
        again = list(objective.views(batch, Draws(0, 0)))
        same = [same_tensors(a.parts["x"], b.parts["x"]) for (a, _), (b, _) in zip(views[0], again, strict=True)]
        assert all(same) and same_tensors(batch.parts["x"], untouched.parts["x"])
        if name != "next_token":  # hides nothing at random
            assert not same_tensors(views[0][0][0].parts["x"], views[1][0][0].parts["x"])

    def test_measures_do_not_depend_on_the_batch(self, name):
        """Each row has the same sums alone and among others (coupled ones: in the same batch)."""
        objective, table = objective_on(name)
        model, rows = model_for(objective), np.arange(len(table))
        whole = predict(model, [objective], table, rows)[name]
        assert whole.shape[0] == len(table) and whole.dtype == np.float64 and np.isfinite(whole).all()
        if not objective.coupled:
            pieces = [predict(model, [objective], table, piece)[name] for piece in np.array_split(rows[::-1], 7)]
            np.testing.assert_allclose(np.concatenate(pieces)[::-1], whole, rtol=1e-3, atol=1e-4)

    def test_loss_is_a_sum_and_a_count_over_any_split_of_a_batch(self, name):
        objective, table = objective_on(name)
        model = model_for(objective).eval()

        def loss(rows: np.ndarray) -> tuple[torch.Tensor, int]:
            ((view, target),) = objective.views(table.batch(rows), Draws(0, 0))
            total, count = objective.loss(model(view)[name], target)
            return total, int(count)

        total, count = loss(np.arange(20))
        assert count > 0 and torch.isfinite(total)
        if not objective.coupled:
            parts = [loss(rows) for rows in (np.arange(3), np.arange(3, 4), np.arange(4, 20))]
            torch.testing.assert_close(sum(p[0] for p in parts), total, rtol=1e-4, atol=1e-3)
            assert sum(p[1] for p in parts) == count

    def test_learns_what_is_there_to_learn_and_gradients_reach_the_encoder(self, name):
        objective, table = objective_on(name)
        model, rows = model_for(objective), np.arange(len(table))
        primary = next(iter(objective.metrics.values()))
        truth = table.targets[name]
        before = primary(truth, predict(model, [objective], table, rows)[name])
        optimiser = torch.optim.Adam(model.parameters(), lr=3e-3)
        for step in range(60):
            batch = table.batch(np.random.default_rng(step).permutation(rows)[:32])
            ((view, target),) = objective.views(batch, Draws(0, step))
            total, count = objective.loss(model(view)[name], target)
            optimiser.zero_grad()
            (total / count).backward()
            if step == 0:
                assert any(p.grad is not None and (p.grad != 0).any() for p in model.encoder("x").parameters())
            optimiser.step()
        after = primary(truth, predict(model, [objective], table, rows)[name])
        assert after > before + 0.1 if primary.greater_is_better else after < 0.8 * before

    def test_metrics_read_weights_as_repeated_rows(self, name):
        objective, table = objective_on(name)
        values = predict(model_for(objective), [objective], table, np.arange(len(table)))[name]
        weights = np.random.default_rng(0).integers(0, 4, (1, len(table)))
        rows, truth = np.repeat(np.arange(len(table)), weights[0]), table.targets[name]
        for metric in objective.metrics.values():
            assert metric.function(truth, values, weights)[0] == pytest.approx(
                metric(truth[rows], values[rows]), rel=1e-9
            )
            assert np.isfinite(metric(truth, values))

    def test_has_baselines_that_are_measured_on_the_same_views(self, name):
        objective, table = objective_on(name)
        rows = np.arange(len(table))
        mine = predict(model_for(objective), [objective], table, rows[30:])[name]
        found = objective_baselines(objective, table, rows[:30], rows[30:])
        assert found and len({baseline.name for baseline in found}) == len(found)
        for baseline in found:
            assert baseline.values.shape == mine.shape and np.isfinite(baseline.values).all() and baseline.note
            assert any((baseline.values[:, k] == mine[:, k]).all() for k in range(mine.shape[1]))  # the counts

    def test_says_that_it_predicts_nothing(self, name):
        objective, _ = objective_on(name)
        for ask in (lambda: objective.decode(torch.zeros(1, 1)), lambda: objective.to_columns(np.zeros((1, 1)))):
            with pytest.raises(TypeError, match="not decoded"):
                ask()


def same_tensors(a: Layout, b: Layout) -> bool:
    pairs = zip(vars(a).values(), vars(b).values(), strict=True)
    return all(torch.allclose(x.double(), y.double(), rtol=0, atol=0, equal_nan=True) for x, y in pairs)
