"""Vectors beside predictions: of the rows asked for, in their order, those that the heads read."""

import numpy as np
import pytest
import torch

from anlage.choosing import build_model
from anlage.encoders import lookup
from anlage.modalities.dna.modality import Dna
from anlage.modalities.inputs import Input
from anlage.modalities.record.modality import Record
from anlage.simulator import simulate_promoters
from anlage.tasks.classification import Classification
from anlage.training.pooled import predict_pooled
from anlage.training.predict import predict
from anlage.training.preparation import Preparation


@pytest.mark.parametrize("columns", [["sequence"], ["sequence", "number"]])
def test_vectors_are_those_that_the_heads_read(columns: list[str]) -> None:
    frame = simulate_promoters(30)
    frame["number"] = np.arange(30.0)
    frame["sequence"] = [text[: 20 + i] for i, text in enumerate(frame["sequence"])]
    inputs = [Input("sequence", Dna(), ["sequence"]), Input("number", Record(), ["number"])][: len(columns)]
    preparation = Preparation(inputs, [Classification("element", ["element"])])
    checked = preparation.check(frame)
    preparation.fit(checked.frames, frame)
    names = {"sequence": "cnn-tiny", "number": "mlp-tiny"}
    model = build_model(preparation, {item.name: lookup.parse(names[item.name]) for item in inputs})
    table = preparation.table(checked.frames)
    rows = np.array([7, 2, 29, 2, 0])
    values, vectors = predict_pooled(model, preparation.tasks, table, rows)
    assert vectors.shape == (5, model.fusion.width) and vectors.dtype == np.float32
    plain = predict(model, preparation.tasks, table, rows)
    assert list(values) == ["element"] and np.array_equal(values["element"], plain["element"])
    with torch.inference_mode():
        for row, vector in zip(rows, vectors, strict=True):
            alone = model.encode(table.batch(np.array([row]))).pooled[0].numpy()
            assert vector == pytest.approx(alone, abs=1e-5)
    assert not model.fusion._forward_hooks, "nothing stays behind in the model"
    values, vectors = predict_pooled(model, preparation.tasks, table, rows[:0])
    assert vectors.shape == (0, model.fusion.width)
