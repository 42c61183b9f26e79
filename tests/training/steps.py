"""A program for the tests: some steps of the loop without dropout, alone or as one of several processes.

python steps.py OUT.json [shard]
"""

import json
import sys
import tempfile
from pathlib import Path

import numpy as np
from torch import nn

from anlage.choosing import build_model
from anlage.encoders import lookup
from anlage.modalities.dna.modality import Dna
from anlage.modalities.inputs import Input
from anlage.simulator import simulate_promoters
from anlage.tasks.classification import Classification
from anlage.training.devices import leads
from anlage.training.loop import Job, Loop
from anlage.training.preparation import Preparation
from anlage.training.settings import TrainingSettings


def main(out: Path, shard: bool) -> None:
    frame = simulate_promoters(201)
    preparation = Preparation([Input("sequence", Dna(), ["sequence"])], [Classification("element", ["element"])])
    checked = preparation.check(frame)
    preparation.fit(checked.frames, frame)
    model = build_model(preparation, {"sequence": lookup.parse("transformer-tiny:dropout=0,token_dropout=0")})
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    rows = np.arange(len(frame))
    (task,) = preparation.tasks
    job = Job(
        model=model, tasks=[task], modalities={}, table=preparation.table(checked.frames, frame), train=rows,
        valid=rows[:40], settings=TrainingSettings(epochs=3, batch_samples=25, shard=shard, device="cpu"),
        metric={task.target: next(iter(task.metrics.values()))}, seed=0, folder=Path(tempfile.mkdtemp()),
        fingerprint="", say=lambda line: None,
    )  # fmt: skip
    progress = Loop(job).run()
    if leads():
        norm = sum(float(tensor.double().square().sum()) for tensor in model.state_dict().values())
        losses = [entry["train_loss"] for entry in progress.history]
        out.write_text(json.dumps({"losses": losses, "scores": [e["valid"] for e in progress.history], "norm": norm}))


if __name__ == "__main__":
    import torch

    torch.manual_seed(0)
    main(Path(sys.argv[1]), "shard" in sys.argv)
