"""Steps of masked pretraining: anlage's loop beside Hugging Face's ESM model, in one run, interleaved.

    python benchmarks/pretrain_speed.py --data ../shared/data/proteins/deeploc1.csv.gz

ESM-2 8M's shape, fresh weights, real proteins (DeepLoc 1.0, a random sample), truncated at 1,022 residues; AdamW and
clipped gradients on both sides, no dropout; 15 % of the residues masked. The peer trains on padded batches of 16, in
file order and sorted by length; with --bf16 both sides compute under bfloat16 autocast. anlage's side is the loop of
``anlage pretrain``: packed batches of ``batch_tokens`` and all that it does in a step. Each epoch's mean loss is
printed, so that one sees that both learn alike; the tokens that are masked differ.
"""

import argparse
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
import transformers
from torch import Tensor, nn

from anlage.choosing import build_model
from anlage.encoders import lookup
from anlage.modalities.inputs import Input
from anlage.modalities.protein.modality import Protein
from anlage.tasks.masked import Masked
from anlage.training.loop import Job, Loop
from anlage.training.preparation import Preparation
from anlage.training.settings import TrainingSettings

LONGEST, PEER_BATCH, RATE = 1_022, 16, 0.15
LETTERS = "LAGVSERTIDPKQNFYMHWCXBUZO"
PADDING, MASK, VOCABULARY = 25, 26, 33
LEARNING_RATE, CLIP = 4e-4, 1.0


def peer_model() -> nn.Module:
    """Hugging Face's ESM for masked tokens, with scaled_dot_product_attention."""
    config = transformers.EsmConfig(
        vocab_size=VOCABULARY,
        pad_token_id=PADDING,
        mask_token_id=MASK,
        hidden_size=320,
        num_hidden_layers=6,
        num_attention_heads=20,
        intermediate_size=1280,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        position_embedding_type="rotary",
        token_dropout=False,
        attn_implementation="sdpa",
    )
    return transformers.EsmForMaskedLM(config).train()


class Peer:
    """A plain loop over padded batches."""

    def __init__(self, texts: list[str], bf16: bool):
        code = {letter: i for i, letter in enumerate(LETTERS)}
        self.ids = [torch.tensor([code.get(letter, 20) for letter in text]) for text in texts]
        self.model, self.bf16 = peer_model(), bf16
        self.optimiser = torch.optim.AdamW(self.model.parameters(), lr=LEARNING_RATE, betas=(0.9, 0.98))

    def loss(self, batch: np.ndarray) -> Tensor:
        rows = nn.utils.rnn.pad_sequence([self.ids[i] for i in batch], batch_first=True, padding_value=PADDING)
        hidden = (torch.rand(rows.shape) < RATE) & (rows != PADDING)
        shown = rows.masked_fill(hidden, MASK)
        with torch.autocast("cpu", torch.bfloat16, enabled=self.bf16):
            logits = self.model(input_ids=shown, attention_mask=(rows != PADDING).long()).logits
        return F.cross_entropy(logits[hidden].float(), rows[hidden])

    def epoch(self, order: np.ndarray) -> tuple[float, float]:
        """Seconds and mean loss of one pass."""
        start, losses = time.perf_counter(), []
        for first in range(0, len(order), PEER_BATCH):
            loss = self.loss(order[first : first + PEER_BATCH])
            loss.backward()
            nn.utils.clip_grad_norm_(self.model.parameters(), CLIP)
            self.optimiser.step()
            self.optimiser.zero_grad()
            losses.append(float(loss.detach()))
        return time.perf_counter() - start, float(np.mean(losses))


def own_loop(texts: list[str], precision: str) -> Loop:
    """The loop of ``anlage pretrain`` on these sequences."""
    frame = pd.DataFrame({"sequence": texts})
    objective = Masked("masked", ["sequence"])
    preparation = Preparation([Input("sequence", Protein(max_length=LONGEST), ["sequence"])], [objective])
    checked = preparation.check(frame)
    preparation.fit(checked.frames, frame)
    (item,) = preparation.inputs
    objective.bind(item.modality.shape, item.modality.augment)
    table = preparation.table(checked.frames, frame.assign(masked=0.0))
    model = build_model(preparation, {"sequence": lookup.parse("esm2-8m:pooling=mean,masked=token")})
    rows = np.arange(len(frame))
    training = TrainingSettings(
        epochs=100, learning_rate=LEARNING_RATE, warmup=0.0, clip=CLIP, precision=precision, device="cpu",
        batch_samples=256,
    )  # fmt: skip
    metric = {objective.target: next(iter(objective.metrics.values()))}
    return Loop(
        Job(model, [objective], {}, table, rows, rows, training, metric, 0, Path(tempfile.mkdtemp()), "", print)
    )


def own_epoch(loop: Loop, number: int) -> tuple[float, float]:
    """Seconds and mean loss of one pass."""
    start, progress = time.perf_counter(), loop.progress
    progress.loss_sum, progress.loss_count = 0.0, 0
    for rows in loop.plan(number):
        loop.step(rows)
        progress.step += 1
    return time.perf_counter() - start, progress.loss_sum / progress.loss_count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="deeploc1.csv.gz")
    parser.add_argument("--sequences", type=int, default=128)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--bf16", action="store_true", help="bfloat16 autocast on both sides")
    args = parser.parse_args()
    torch.manual_seed(0)
    table = pd.read_csv(args.data)
    texts = table["sequence"].sample(args.sequences, random_state=0).str[:LONGEST].tolist()
    lengths = np.array([len(text) for text in texts])
    peers = {name: Peer(texts, args.bf16) for name in ("peer, file order", "peer, sorted")}
    orders = {"peer, file order": np.arange(len(texts)), "peer, sorted": np.argsort(lengths, kind="stable")}
    loop = own_loop(texts, "bf16-mixed" if args.bf16 else "32-true")
    sides: dict[str, Callable[[int], tuple[float, float]]] = {
        name: lambda number, name=name: peers[name].epoch(orders[name]) for name in peers
    }
    sides["anlage"] = lambda number: own_epoch(loop, number)
    peers["peer, sorted"].loss(orders["peer, sorted"][:PEER_BATCH]).backward()
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in sides}
    for number in range(args.repeats):
        for name, side in sides.items():
            found[name].append(side(number))

    total = int(lengths.sum())
    sizes = [sum(p.numel() for p in m.parameters()) for m in (peers["peer, sorted"].model, loop.job.model)]
    print(f"torch {torch.__version__}, transformers {transformers.__version__}, python {platform.python_version()}")
    print(f"{torch.get_num_threads()} threads, {'bf16 autocast' if args.bf16 else 'fp32'}, {len(texts)} sequences, "
          f"{total:,} residues, {args.repeats} interleaved repeats")  # fmt: skip
    print(f"parameters: peer {sizes[0]:,}, anlage {sizes[1]:,}")
    seconds = {name: statistics.median(s for s, _ in runs) for name, runs in found.items()}
    for name, runs in found.items():
        curve = ", ".join(f"{loss:.3f}" for _, loss in runs)
        print(f"{name:17s} {total / seconds[name]:8,.0f} residues/s   mean loss of each epoch: {curve}")
    bars = (5.0, 2.2) if args.bf16 else (3.3, 1.4)
    for name, bar in zip(peers, bars, strict=True):
        print(f"anlage / {name}: {seconds[name] / seconds['anlage']:.2f} x (bar {bar})")


if __name__ == "__main__":
    main()
