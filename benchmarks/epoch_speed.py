"""One training epoch of anlage's transformer beside the same-size Hugging Face ESM model, in one run, interleaved.

    python benchmarks/epoch_speed.py --data ../shared/data/proteins/deeploc1.csv.gz

Real proteins (DeepLoc 1.0, training part, a random sample), truncated at 1,022 residues; AdamW on both sides; same
width, layers, heads, feed-forward width, dropout and precision. The peer trains on padded batches of 16, once in
shuffled order and once sorted by length, in a plain loop; anlage's side is the loop that ``fit`` runs, with the
batches that it makes (packed, of up to ``batch_tokens``) and all that it does in a step.
Prints the median seconds of an epoch, the ratios, parameter counts and versions.
"""

import argparse
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import transformers
from torch import Tensor, nn

from anlage.choosing import build_model
from anlage.encoders import lookup
from anlage.encoders.transformer_settings import TransformerSettings
from anlage.modalities.inputs import Input
from anlage.modalities.protein.modality import Protein
from anlage.tasks.classification import Classification
from anlage.training.loop import Job, Loop
from anlage.training.preparation import Preparation
from anlage.training.settings import TrainingSettings

LONGEST, CLASSES, PEER_BATCH = 1_022, 10, 16
RESIDUES = "LAGVSERTIDPKQNFYMHWCXBUZO"
PADDING, MASK, VOCABULARY = 25, 26, 27


def read(path: str, rows: int, seed: int) -> pd.DataFrame:
    """A random sample of training sequences, and made-up classes (speed does not depend on them)."""
    table = pd.read_csv(path)
    sample = table[table["split"] == "train"].sample(rows, random_state=seed)
    classes = [f"class {i % CLASSES}" for i in range(rows)]
    return pd.DataFrame({"sequence": sample["sequence"].str[:LONGEST].to_numpy(), "class": classes})


def padded_batches(ids: list[Tensor], order: np.ndarray) -> list[np.ndarray]:
    return [order[i : i + PEER_BATCH] for i in range(0, len(order), PEER_BATCH)]


def peer_model(settings: TransformerSettings) -> nn.Module:
    """Hugging Face ESM with rotary positions and scaled_dot_product_attention."""
    config = transformers.EsmConfig(
        vocab_size=VOCABULARY,
        pad_token_id=PADDING,
        mask_token_id=MASK,
        hidden_size=settings.width,
        num_hidden_layers=settings.layers,
        num_attention_heads=settings.width // settings.head_width,
        intermediate_size=settings.width * settings.expansion,
        hidden_dropout_prob=settings.dropout,
        attention_probs_dropout_prob=0.0,
        position_embedding_type="rotary",
        token_dropout=False,
        num_labels=CLASSES,
        attn_implementation="sdpa",
    )
    return transformers.EsmForSequenceClassification(config)


def own_loop(frame: pd.DataFrame, settings: TransformerSettings, training: TrainingSettings) -> Loop:
    """The training loop of ``fit`` on these sequences."""
    preparation = Preparation([Input("sequence", Protein(max_length=LONGEST), ["sequence"])],
                              [Classification("class", ["class"])])  # fmt: skip
    checked = preparation.check(frame)
    preparation.fit(checked.frames, frame)
    table = preparation.table(checked.frames, frame)
    model = build_model(preparation, {"sequence": settings})
    task = preparation.tasks[0]
    rows = np.arange(len(frame))
    job = Job(model, preparation.tasks, {}, table, rows, rows, training,
              {task.target: next(iter(task.metrics.values()))}, 0, Path(tempfile.mkdtemp()), "", print)  # fmt: skip
    return Loop(job)


def own_epoch(loop: Loop, number: int) -> float:
    """Seconds of one epoch of it."""
    start = time.perf_counter()
    for rows in loop.plan(number):
        loop.step(rows)
        loop.progress.step += 1
    return time.perf_counter() - start


def epoch(model: nn.Module, optimiser: torch.optim.Optimizer, losses: Callable, batches: list, bf16: bool) -> float:
    """Seconds of one pass of forward, backward and step."""
    start = time.perf_counter()
    for batch in batches:
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            loss = losses(batch)
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="deeploc1.csv.gz")
    parser.add_argument("--encoder", default="transformer-small")
    parser.add_argument("--sequences", type=int, default=400)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--tokens", type=int, help="tokens in a batch of anlage (default: that of fit)")
    parser.add_argument("--bf16", action="store_true", help="bfloat16 autocast on both sides")
    args = parser.parse_args()
    torch.manual_seed(0)
    generator = np.random.default_rng(0)
    settings = lookup.parse(args.encoder)
    assert isinstance(settings, TransformerSettings), "compare a transformer with a transformer"
    frame = read(args.data, args.sequences, seed=0)
    code = {letter: i for i, letter in enumerate(RESIDUES)}
    ids = [torch.tensor([code.get(letter, 20) for letter in text]) for text in frame["sequence"]]
    classes = torch.arange(len(frame)) % CLASSES
    peer = peer_model(settings).train()
    precision = "bf16-mixed" if args.bf16 else "32-true"
    training = TrainingSettings(epochs=100, learning_rate=1e-4, precision=precision, device="cpu")
    if args.tokens:
        training = replace(training, batch_tokens=args.tokens)
    own = own_loop(frame, settings, training)

    def peer_loss(batch: np.ndarray) -> Tensor:
        rows = nn.utils.rnn.pad_sequence([ids[i] for i in batch], batch_first=True, padding_value=PADDING)
        return peer(input_ids=rows, attention_mask=(rows != PADDING).long(), labels=classes[batch]).loss

    by_length = np.argsort([len(i) for i in ids], kind="stable")
    optimiser = torch.optim.AdamW(peer.parameters(), lr=1e-4)

    def peer_epoch(order: np.ndarray) -> float:
        return epoch(peer, optimiser, peer_loss, padded_batches(ids, order), args.bf16)

    peer_epoch(by_length[:PEER_BATCH])
    own.step(own.plan(0)[0])
    seconds: dict[str, list[float]] = {"peer, shuffled": [], "peer, sorted": [], "anlage": []}
    for repeat in range(args.repeats):
        seconds["peer, shuffled"].append(peer_epoch(generator.permutation(len(ids))))
        seconds["peer, sorted"].append(peer_epoch(by_length))
        seconds["anlage"].append(own_epoch(own, repeat))

    tokens = sum(len(i) for i in ids)
    print(f"torch {torch.__version__}, transformers {transformers.__version__}, python {platform.python_version()}")
    print(f"{torch.get_num_threads()} threads, {'bf16' if args.bf16 else 'fp32'}, {args.encoder}: {settings}")
    print(
        f"{len(ids)} sequences, {tokens} residues, {args.repeats} interleaved repeats, {training.batch_tokens} a batch"
    )
    totals = [sum(p.numel() for p in m.parameters()) for m in (peer, own.job.model)]
    print(f"parameters: peer {totals[0]:,}, anlage {totals[1]:,}")
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    for name, value in medians.items():
        runs = ", ".join(f"{s:.2f}" for s in seconds[name])
        print(f"{name:15s} {value:7.2f} s an epoch ({tokens / value:,.0f} residues/s)  [{runs}]")
    for name, bar in (("peer, shuffled", 0.5), ("peer, sorted", 0.75)):
        print(f"anlage / {name}: {medians['anlage'] / medians[name]:.3f} (bar {bar})")


if __name__ == "__main__":
    main()
