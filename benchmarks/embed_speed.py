"""Mean-pooled vectors of real proteins: `anlage embed` beside Hugging Face's ESM model, in one run, interleaved.

    python benchmarks/embed_speed.py --data ../shared/data/proteins/deeploc1.csv.gz

A checkpoint of ESM-2 8M's shape (6 layers, width 320, 20 heads, feed-forward 1280, rotary) with random weights is
written to disk by transformers. The peer reads token ids that are ready, in padded batches of 16 (scaled_dot_product_
attention): in the order of the file, sorted by length, and sorted with weights in bfloat16. anlage runs all that the
command does once the model is loaded: reading the CSV file, checks, tokens, batches, pooling, parts, the Parquet file.
Prints residues a second, ratios, how far the vectors are from the peer's, and which part of this machine's measured
matrix-product speed each reaches (by the arithmetic that the real lengths need; padding is not counted as work).
"""

import argparse
import platform
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import transformers
from torch import nn

from anlage.embedding import encode
from anlage.embedding.job import Job
from anlage.embedding.settings import EmbedSettings

LAYERS, WIDTH, HEADS, FEED, PEER_BATCH = 6, 320, 20, 1280, 16
VOCABULARY = ["<cls>", "<pad>", "<eos>", "<unk>", *"LAGVSERTIDPKQNFYMHWCXBUZO.-", "<null_1>", "<mask>"]
CLS, PADDING, EOS, UNKNOWN = range(4)


def write_checkpoint(folder: Path) -> None:
    """Random weights, large enough that attention and feed-forward layers matter to the result."""
    config = transformers.EsmConfig(
        vocab_size=len(VOCABULARY),
        mask_token_id=VOCABULARY.index("<mask>"),
        pad_token_id=PADDING,
        hidden_size=WIDTH,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        intermediate_size=FEED,
        max_position_embeddings=1026,
        position_embedding_type="rotary",
        token_dropout=True,
    )
    model = transformers.EsmModel(config, add_pooling_layer=False)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim > 1:
                parameter.normal_(std=1.0 if "embeddings" in name else 1.5 / parameter.shape[1] ** 0.5)
    model.save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(VOCABULARY) + "\n")


class Peer:
    """Hugging Face's model and its mean over residues."""

    def __init__(self, folder: Path, texts: list[str], dtype: torch.dtype):
        self.model = transformers.EsmModel.from_pretrained(
            folder, add_pooling_layer=False, dtype=dtype, attn_implementation="sdpa"
        ).eval()
        code = {letter: i for i, letter in enumerate(VOCABULARY)}
        self.ids = [torch.tensor([CLS, *(code.get(c, UNKNOWN) for c in text), EOS]) for text in texts]

    @torch.inference_mode()
    def vectors(self, order: np.ndarray) -> np.ndarray:
        """[sequences, width] in the order of the file, computed in batches along ``order``."""
        found = np.zeros((len(self.ids), WIDTH), dtype=np.float32)
        for start in range(0, len(order), PEER_BATCH):
            batch = order[start : start + PEER_BATCH]
            rows = nn.utils.rnn.pad_sequence([self.ids[i] for i in batch], batch_first=True, padding_value=PADDING)
            hidden = self.model(input_ids=rows, attention_mask=(rows != PADDING).long()).last_hidden_state
            residues = ((rows != PADDING) & (rows != CLS) & (rows != EOS))[..., None]
            found[batch] = ((hidden.float() * residues).sum(1) / residues.sum(1)).numpy()
        return found


class Ours:
    """The command, from the loaded model to the file; ``inside``: the part of the last run that the encoder took."""

    def __init__(self, folder: Path, table: Path, out: Path, precision: str):
        self.folder, self.table, self.out = str(folder), table, out
        self.settings = EmbedSettings(precision=precision)  # type: ignore[arg-type]
        self.inside = 0.0

    def timed(self) -> tuple[float, np.ndarray]:
        job = Job(self.folder, self.table, self.out, self.settings, overwrite=True, say=lambda line: None)
        encoder = job.encoder.coder.model.encoder("sequence")
        marks: list[float] = []
        encoder.register_forward_pre_hook(lambda *_: marks.append(-time.perf_counter()))
        encoder.register_forward_hook(lambda *_: marks.append(time.perf_counter()))
        start = time.perf_counter()
        job.run(interactive=False)
        seconds = time.perf_counter() - start
        self.inside = sum(marks)
        return seconds, np.stack(pd.read_parquet(self.out)["vector"].to_numpy())


def peak(dtype: torch.dtype) -> float:
    """Operations a second of the best matrix product, at the sizes of the model's feed-forward layer and larger."""
    best = 0.0
    for rows, inner, columns in ((4096, WIDTH, FEED), (4096, FEED, WIDTH), (2048, 2048, 2048)):
        a, b = torch.randn(rows, inner, dtype=dtype), torch.randn(inner, columns, dtype=dtype)
        for _ in range(8):
            start = time.perf_counter()
            a @ b
            best = max(best, 2 * rows * inner * columns / (time.perf_counter() - start))
    return best


def operations(lengths: np.ndarray) -> float:
    """Of the linear layers and of attention, for sequences of these many tokens."""
    linear = 2 * LAYERS * (4 * WIDTH**2 + 2 * WIDTH * FEED)
    return float((linear * lengths + 4 * LAYERS * WIDTH * lengths.astype(float) ** 2).sum())


def timed(call: Callable[[], np.ndarray]) -> tuple[float, np.ndarray]:
    start = time.perf_counter()
    found = call()
    return time.perf_counter() - start, found


def cosine(one: np.ndarray, two: np.ndarray) -> float:
    """The smallest over all rows."""
    return float(((one * two).sum(1) / np.linalg.norm(one, axis=1) / np.linalg.norm(two, axis=1)).min())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="deeploc1.csv.gz")
    parser.add_argument("--sequences", type=int, default=256)
    parser.add_argument("--longest", type=int, default=1022, help="residues kept of a sequence, as ESM-2 was trained")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--batch-tokens", type=int, help="tokens in a batch of anlage, instead of its own choice")
    args = parser.parse_args()
    if args.batch_tokens:
        encode.BATCH_TOKENS["cpu"] = args.batch_tokens
    torch.manual_seed(0)
    folder = Path(tempfile.mkdtemp(prefix="embed-speed-"))
    write_checkpoint(folder / "esm")
    sample = pd.read_csv(args.data).sample(args.sequences, random_state=0)[["id", "sequence"]]
    sample["sequence"] = sample["sequence"].str[: args.longest]
    sample.to_csv(folder / "proteins.csv", index=False)
    texts = list(sample["sequence"])
    lengths = np.array([len(text) for text in texts])
    in_file, by_length = np.arange(len(texts)), np.argsort(lengths, kind="stable")

    full, half = (Peer(folder / "esm", texts, dtype) for dtype in (torch.float32, torch.bfloat16))
    ours = {p: Ours(folder / "esm", folder / "proteins.csv", folder / "v.parquet", p) for p in ("32-true", "bf16")}
    sides: dict[str, Callable[[], tuple[float, np.ndarray]]] = {
        "peer fp32, file order": lambda: timed(lambda: full.vectors(in_file)),
        "peer fp32, sorted": lambda: timed(lambda: full.vectors(by_length)),
        "peer bf16, sorted": lambda: timed(lambda: half.vectors(by_length)),
        "anlage fp32": ours["32-true"].timed,
        "anlage bf16": ours["bf16"].timed,
    }
    full.vectors(by_length[:PEER_BATCH]), half.vectors(by_length[:PEER_BATCH])  # warm
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    around: dict[str, list[float]] = {"anlage fp32": [], "anlage bf16": []}
    peaks: dict[str, list[float]] = {"fp32": [], "bf16": []}
    found: dict[str, np.ndarray] = {}
    for _ in range(args.repeats):
        for name, side in sides.items():
            took, found[name] = side()
            seconds[name].append(took)
            if name in around:
                around[name].append(took - ours["bf16" if "bf16" in name else "32-true"].inside)
        for name, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
            peaks[name].append(peak(dtype))
    shutil.rmtree(folder)

    print(f"torch {torch.__version__}, transformers {transformers.__version__}, python {platform.python_version()}")
    print(f"{torch.get_num_threads()} threads; {len(texts)} sequences, {lengths.sum():,} residues, lengths "
          f"{lengths.min()} to {lengths.max()}; {args.repeats} interleaved repeats, medians")  # fmt: skip
    best = {name: max(values) for name, values in peaks.items()}
    print(f"matrix products: fp32 {best['fp32'] / 1e9:,.0f}, bf16 {best['bf16'] / 1e9:,.0f} GFLOP/s")
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    work = operations(lengths + 2)
    for name, took in medians.items():
        share = work / took / best["bf16" if "bf16" in name else "fp32"]
        runs = ", ".join(f"{s:.2f}" for s in seconds[name])
        print(f"{name:22s} {lengths.sum() / took:9,.0f} residues/s  {share:5.1%} of the peak  {took:6.2f} s [{runs}]")
    for name, bars in (
        ("anlage fp32", {"peer fp32, file order": 3.5, "peer fp32, sorted": 1.5}),
        ("anlage bf16", {"peer fp32, file order": 9, "peer bf16, sorted": 2}),
    ):
        for other, bar in bars.items():
            print(f"{name} / {other}: {medians[other] / medians[name]:.2f} x (bar {bar})")
        outside = statistics.median(around[name])
        print(f"{name}: {outside:.3f} s around the encoder ({outside / medians[name]:.1%})")
    truth = found["peer fp32, sorted"]
    for name in ("anlage fp32", "anlage bf16", "peer bf16, sorted"):
        largest, smallest = np.abs(found[name] - truth).max(), cosine(found[name], truth)
        print(f"{name} beside peer fp32: largest difference {largest:.1e}, smallest cosine {smallest:.6f}")


if __name__ == "__main__":
    main()
