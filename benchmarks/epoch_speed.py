"""One training epoch of anlage's transformer beside the same-size Hugging Face ESM model, in one run, interleaved.

    python benchmarks/epoch_speed.py --data ../shared/data/proteins/deeploc1.csv.gz

Real proteins (DeepLoc 1.0, training part, a random sample), truncated at 1,022 residues; AdamW on both sides; same
width, layers, heads, feed-forward width, dropout and precision. The peer trains on padded batches of 16, once in
shuffled order and once sorted by length; anlage trains on packed batches of up to 16,384 tokens, cut by length.
Prints the median seconds of an epoch, the ratios, parameter counts and versions.
"""

import argparse
import platform
import statistics
import time
from collections.abc import Callable

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
import transformers
from torch import Tensor, nn

from anlage.encoders import lookup
from anlage.encoders.transformer_settings import TransformerSettings
from anlage.shapes import TokensShape
from anlage.types import Tokens

LONGEST, CLASSES, PEER_BATCH, TOKEN_BUDGET = 1_022, 10, 16, 16_384
RESIDUES = "LAGVSERTIDPKQNFYMHWCXBUZO"
PADDING, MASK, VOCABULARY = 25, 26, 27


def read(path: str, rows: int, seed: int) -> tuple[list[Tensor], Tensor]:
    """Ids of a random sample of training sequences, and made-up classes (speed does not depend on them)."""
    table = pd.read_csv(path)
    sample = table[table["split"] == "train"].sample(rows, random_state=seed)
    code = {letter: i for i, letter in enumerate(RESIDUES)}
    ids = [torch.tensor([code.get(letter, 20) for letter in text[:LONGEST]]) for text in sample["sequence"]]
    return ids, torch.arange(rows) % CLASSES


def padded_batches(ids: list[Tensor], order: np.ndarray) -> list[np.ndarray]:
    return [order[i : i + PEER_BATCH] for i in range(0, len(order), PEER_BATCH)]


def budget_batches(ids: list[Tensor], generator: np.random.Generator) -> list[np.ndarray]:
    """Cut by length into batches of at most TOKEN_BUDGET tokens, then shuffled."""
    order = np.argsort([len(i) for i in ids], kind="stable")
    batches, batch, size = [], [], 0
    for i in order:
        if batch and size + len(ids[i]) > TOKEN_BUDGET:
            batches.append(np.array(batch))
            batch, size = [], 0
        batch.append(i)
        size += len(ids[i])
    batches.append(np.array(batch))
    generator.shuffle(batches)
    return batches


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


class Classifier(nn.Module):
    """anlage's encoder and one linear layer."""

    def __init__(self, settings: TransformerSettings):
        super().__init__()
        shape = TokensShape(vocabulary=VOCABULARY, mask_id=MASK, max_tokens=LONGEST)
        self.encoder = lookup.build(settings, shape)
        self.head = nn.Linear(settings.width, CLASSES)

    def forward(self, layout: Tokens) -> Tensor:
        return self.head(self.encoder(layout).pooled)


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
    parser.add_argument("--bf16", action="store_true", help="bfloat16 autocast on both sides")
    args = parser.parse_args()
    torch.manual_seed(0)
    generator = np.random.default_rng(0)
    settings = lookup.parse(args.encoder)
    assert isinstance(settings, TransformerSettings), "compare a transformer with a transformer"
    ids, classes = read(args.data, args.sequences, seed=0)
    peer, own = peer_model(settings).train(), Classifier(settings).train()

    def peer_loss(batch: np.ndarray) -> Tensor:
        rows = nn.utils.rnn.pad_sequence([ids[i] for i in batch], batch_first=True, padding_value=PADDING)
        return peer(input_ids=rows, attention_mask=(rows != PADDING).long(), labels=classes[batch]).loss

    def own_loss(batch: np.ndarray) -> Tensor:
        lengths = torch.tensor([len(ids[i]) for i in batch])
        flat = torch.cat([ids[i] for i in batch])
        layout = Tokens(flat, lengths, torch.zeros(len(flat), 2, dtype=torch.long))
        return F.cross_entropy(own(layout).float(), classes[batch])

    by_length = np.argsort([len(i) for i in ids], kind="stable")
    peer_step, own_step = (torch.optim.AdamW(m.parameters(), lr=1e-4) for m in (peer, own))
    sides = {
        "peer, shuffled": lambda: (peer, peer_step, peer_loss, padded_batches(ids, generator.permutation(len(ids)))),
        "peer, sorted": lambda: (peer, peer_step, peer_loss, padded_batches(ids, by_length)),
        "anlage": lambda: (own, own_step, own_loss, budget_batches(ids, generator)),
    }
    for name in ("peer, sorted", "anlage"):
        *model, batches = sides[name]()
        epoch(*model, batches[:1], args.bf16)
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(args.repeats):
        for name, side in sides.items():
            seconds[name].append(epoch(*side(), args.bf16))

    tokens = sum(len(i) for i in ids)
    print(f"torch {torch.__version__}, transformers {transformers.__version__}, python {platform.python_version()}")
    print(f"{torch.get_num_threads()} threads, {'bf16' if args.bf16 else 'fp32'}, {args.encoder}: {settings}")
    print(f"{len(ids)} sequences, {tokens} residues, {args.repeats} interleaved repeats")
    backbone = sum(p.numel() for p in peer.esm.encoder.parameters())
    blocks = sum(p.numel() for p in own.encoder.layers.parameters())
    print(f"parameters of the blocks: peer {backbone:,}, anlage {blocks:,}")
    totals = [sum(p.numel() for p in m.parameters()) for m in (peer, own)]
    print(f"parameters in all:        peer {totals[0]:,}, anlage {totals[1]:,}")
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    for name, value in medians.items():
        runs = ", ".join(f"{s:.2f}" for s in seconds[name])
        print(f"{name:15s} {value:7.2f} s an epoch ({tokens / value:,.0f} residues/s)  [{runs}]")
    for name, bar in (("peer, shuffled", 0.5), ("peer, sorted", 0.75)):
        print(f"anlage / {name}: {medians['anlage'] / medians[name]:.3f} (bar {bar})")


if __name__ == "__main__":
    main()
