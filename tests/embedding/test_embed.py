"""From a table to a file of vectors: the same whatever stands beside a row, in whatever pieces, from any source."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from pyarrow import parquet

import anlage
from anlage.embedding import encode
from anlage.errors import AnlageError
from anlage.foundation import find
from anlage.types import Encoded


def stack(frame: pd.DataFrame) -> np.ndarray:
    return np.stack(frame["vector"].to_numpy())


def direct(run: anlage.Run, table: pd.DataFrame) -> np.ndarray:
    """What the model says of all rows in one batch."""
    checked = run.preparation.check(table)
    prepared = run.preparation.table(checked.take(np.arange(len(table))))
    with torch.inference_mode():
        return run.model.encode(prepared.batch(np.arange(len(table)))).pooled.numpy()


def test_vectors_of_a_fit_are_its_fused_encoding(
    fitted: anlage.Run, fused: anlage.Run, proteins: Any, vectors_of: Any
) -> None:
    table = proteins(50, seed=1)
    for run in (fitted, fused):
        found = vectors_of(run, table, rows=16)
        assert list(found.index) == list(table.index)
        assert np.abs(stack(found) - direct(run, table)).max() < 1e-5
    assert np.ptp(stack(found), axis=0).min() > 0
    missing = table.assign(size=np.where(np.arange(50) % 2, np.nan, table["size"]))
    assert np.abs(stack(vectors_of(fused, missing, rows=16)) - direct(fused, missing)).max() < 1e-5


@pytest.mark.parametrize("kind", ["fitted", "pretrained", "fused"])
def test_a_vector_never_depends_on_its_neighbours(
    kind: str, request: pytest.FixtureRequest, proteins: Any, vectors_of: Any
) -> None:
    run, table = request.getfixturevalue(kind), proteins(40)
    whole = vectors_of(run, table)
    for rows in (1, 7, 40):  # alone in a part, across the borders of parts, all in one
        assert np.abs(stack(vectors_of(run, table, rows=rows)) - stack(whole)).max() < 1e-5
    for some in (["p3"], ["p3", "p9", "p30"], ["p9", "p3"], ["p30", "p9", "p3"]):  # alone, first, in the middle, last
        assert np.abs(stack(vectors_of(run, table.loc[some])) - stack(whole.loc[some])).max() < 1e-5
    equal = np.array_equal(whole.loc["p20", "vector"], whole.loc["p39", "vector"])
    assert equal == (kind != "fused")  # equal sequences, but not equal numbers beside them


def test_pretrained_vectors_are_means_over_source_tokens(
    pretrained: anlage.Run, proteins: Any, vectors_of: Any, said: list[str]
) -> None:
    table = proteins(12)
    means = vectors_of(pretrained.path, table)
    elements = vectors_of(pretrained.path, table, level="element", rows=5)
    own = elements.groupby("id", sort=False)["vector"].apply(lambda v: np.stack(v.to_numpy()).mean(0))
    assert list(own.index) == list(table.index)
    assert np.abs(np.stack(own.to_numpy()) - stack(means)).max() < 1e-5
    maxima = vectors_of(f"{pretrained.path}::pooling=max", table)
    assert np.abs(stack(maxima) - stack(means)).max() > 0.1
    assert "embedding sequence: protein" in said


def test_a_published_checkpoint_gives_its_own_vectors_uncropped(
    checkpoint: Path, reference: Any, proteins: Any, vectors_of: Any, said: list[str]
) -> None:
    table = proteins(8)[["sequence"]].assign(other=["ACDEFGHIKLMNPQRSTVWY" * 2] * 8)
    table.loc["p1", "sequence"] = table.loc["p0", "sequence"] * 40  # far beyond what a fit would keep
    assert len(table.loc["p1", "sequence"]) > 1500
    with pytest.raises(AnlageError, match="can read the columns sequence, other: name one with --column"):
        vectors_of(checkpoint, table)
    found = vectors_of(checkpoint, table, column="sequence")
    for name, text in table["sequence"].items():
        assert np.abs(found.loc[name, "vector"] - reference(text).mean(0)).max() < 1e-5
    assert not any("max_length" in line for line in said)
    elements = vectors_of(checkpoint, table, column="sequence=protein:max_length=30", level="element")
    assert any("max_length" in line for line in said)
    assert (elements.groupby("id").size() == 30).all()
    long = elements.loc["p1"]
    assert list(long["position"]) == list(range(30))
    assert list(long["start"]) == [
        *range(15),
        *range(len(table.loc["p1", "sequence"]) - 15, len(table.loc["p1", "sequence"])),
    ]
    assert (long["end"] == long["start"] + 1).all()


def test_bf16_is_close(
    checkpoint: Path, fused: anlage.Run, pretrained: anlage.Run, proteins: Any, vectors_of: Any
) -> None:
    table = proteins(20)
    for source in (checkpoint, fused, pretrained):
        column = "sequence" if source is checkpoint else None
        full, half = (stack(vectors_of(source, table, column=column, precision=p)) for p in ("32-true", "bf16"))
        cosine = (full * half).sum(1) / np.linalg.norm(full, axis=1) / np.linalg.norm(half, axis=1)
        assert cosine.min() > 0.999
        assert np.abs(full - half).max() > 1e-6  # it did compute in other numbers
        assert half.dtype == np.float32


def test_images_and_their_cells(pictures: tuple[anlage.Run, pd.DataFrame], vectors_of: Any) -> None:
    run, table = pictures
    means = vectors_of(run, table, rows=16)
    cells = vectors_of(run, table, level="element", rows=16)
    side = int(cells["row"].max()) + 1
    assert side > 1 and len(cells) == 40 * side**2
    assert [tuple(v) for v in cells.loc["7", ["row", "column"]].to_numpy()] == [
        (i, j) for i in range(side) for j in range(side)
    ]
    own = cells.groupby("id", sort=False)["vector"].apply(lambda v: np.stack(v.to_numpy()).mean(0))
    assert np.abs(np.stack(own.to_numpy()) - stack(means)).max() < 1e-5


def test_a_published_image_model(
    pictures: tuple[anlage.Run, pd.DataFrame], tmp_path: Path, vectors_of: Any, said: list[str]
) -> None:
    transformers = pytest.importorskip("transformers", reason="published models need pip install 'anlage[hub]'")
    sizes = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48}
    config = transformers.ViTConfig(**sizes, image_size=16, patch_size=8, num_channels=1)
    transformers.ViTModel(config, add_pooling_layer=False).save_pretrained(tmp_path / "vit")
    table = pictures[1]
    means = vectors_of(tmp_path / "vit", table)
    assert "image: scaled by the mean and deviation of the first 40 rows" in said
    cells = vectors_of(tmp_path / "vit", table, level="element", column="image")
    own = cells.groupby("id", sort=False)["vector"].apply(lambda v: np.stack(v.to_numpy()).mean(0))
    assert len(cells) == 160 and np.abs(np.stack(own.to_numpy()) - stack(means)).max() < 1e-5
    pixels = torch.tensor(np.stack(table["image"].to_numpy())[:, None] / 255, dtype=torch.float32)
    model = transformers.ViTModel.from_pretrained(tmp_path / "vit", add_pooling_layer=False).eval()
    with torch.no_grad():
        theirs = model(pixel_values=(pixels - pixels.mean()) / pixels.std(correction=0)).last_hidden_state
    assert np.abs(stack(means) - theirs[:, 1:].mean(1).numpy()).max() < 1e-4


def test_elements_of_many_rows_are_held_piece_by_piece(
    fitted: anlage.Run, proteins: Any, vectors_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = vectors_of(fitted, proteins(30), level="element")
    monkeypatch.setattr(encode, "PIECE_TOKENS", 150)
    pieces = vectors_of(fitted, proteins(30), level="element")
    assert np.abs(stack(whole) - stack(pieces)).max() < 1e-5
    assert whole.drop(columns="vector").equals(pieces.drop(columns="vector"))


def test_bad_rows_are_named_and_left_out(fitted: anlage.Run, proteins: Any, vectors_of: Any, said: list[str]) -> None:
    table = proteins(40)
    bad = [f"p{i}" for i in range(5, 30, 2)]
    table.loc[bad, "sequence"] = "not a protein!"
    table.loc["p2", "sequence"] = None
    found = vectors_of(fitted, table, rows=8)
    good = [name for name in table.index if name not in [*bad, "p2"]]
    assert list(found.index) == good
    assert np.abs(stack(found) - stack(vectors_of(fitted, table.loc[good]))).max() < 1e-5
    assert sum(line.startswith("unusable: row p") for line in said) == 10
    assert "… and 3 more such rows" in said
    assert "14 of 40 rows could not be used: they are left out" in said
    with pytest.raises(AnlageError, match="no row of it could be used"):
        vectors_of(fitted, table.loc[bad], rows=8)


def test_vectors_that_do_not_fit_the_dtype_are_named(
    checkpoint: Path, proteins: Any, vectors_of: Any, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = encode.encode_parts

    def loud(encoder: Any, parts: Any, which: np.ndarray, *bounds: int) -> Any:
        for batch, pooled in real(encoder, parts, which, *bounds):
            yield batch, np.where((batch == 3)[:, None], pooled * 1e6, pooled)

    monkeypatch.setattr(encode, "encode_parts", loud)
    table = proteins(6)[["sequence"]]
    assert list(vectors_of(checkpoint, table, dtype="float16").index) == ["p0", "p1", "p2", "p4"]  # p5 equals p3
    assert "unusable: row p3, column vector: its vector holds numbers that are not finite as float16" in said
    assert len(vectors_of(checkpoint, table)) == 6


def test_every_format_gives_the_same_vectors(
    fitted: anlage.Run, proteins: Any, vectors_of: Any, tmp_path: Path
) -> None:
    table = proteins(30)
    whole = stack(vectors_of(fitted, table))
    table.to_csv(tmp_path / "t.csv")
    table.reset_index().to_parquet(tmp_path / "t.parquet", row_group_size=7)
    table.reset_index().to_json(tmp_path / "t.jsonl", orient="records", lines=True)
    (tmp_path / "t.fasta").write_text("".join(f">{i}\n{text}\n" for i, text in table["sequence"].items()))
    for name in ("t.csv", "t.parquet", "t.jsonl", "t.fasta"):
        found = vectors_of(fitted, tmp_path / name, rows=8)
        assert list(found.index) == list(table.index)
        assert np.abs(stack(found) - whole).max() < 1e-5


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("level", ["sample", "element"])
def test_what_the_files_hold(
    fitted: anlage.Run, proteins: Any, vectors_of: Any, tmp_path: Path, level: str, dtype: str
) -> None:
    table, options = proteins(20), {"level": level, "dtype": dtype, "rows": 6}
    table.loc["p4", "sequence"] = "!"
    ids = [name for name in table.index if name != "p4"]
    frame = vectors_of(fitted, table, **options)
    kind = parquet.read_schema(tmp_path / "v.parquet").field("vector").type
    assert kind == pa.list_(pa.float32() if dtype == "float32" else pa.float16(), fitted.model.fusion.width)
    assert list(dict.fromkeys(frame.index)) == ids
    anlage.embed(fitted, table, out=tmp_path / "v.h5", say=print, **options)
    with h5py.File(tmp_path / "v.h5") as file:
        assert list(file["ids"].asstr()) == ids
        assert file["vectors"].dtype == dtype
        assert np.array_equal(file["vectors"][:], stack(frame))
        assert "cnn" not in file.attrs["anlage"] and '"level": "' + level in file.attrs["anlage"]
        if level == "element":
            lengths = frame.groupby("id", sort=False).size()
            assert np.array_equal(np.diff(file["offsets"]), lengths.to_numpy())
            assert np.array_equal(file["spans"], frame[["start", "end"]])
        else:
            assert set(file) == {"ids", "vectors"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["v.h5", "v.parquet"]


def test_vectors_can_be_learned_from(fitted: anlage.Run, proteins: Any, vectors_of: Any, tmp_path: Path) -> None:
    table = proteins(60)
    frame = vectors_of(fitted, table).assign(place=table["place"])
    frame.reset_index().to_parquet(tmp_path / "labelled.parquet")
    run = anlage.fit(tmp_path / "labelled.parquet", target="place", out=tmp_path / "run", epochs=1, resamples=20,
                     baseline_budget="1s", say=print)  # fmt: skip
    assert [item.modality.name for item in run.preparation.inputs] == ["vector"]


def test_what_does_not_fit_is_one_line(
    fitted: anlage.Run, fused: anlage.Run, pretrained: anlage.Run, checkpoint: Path, proteins: Any, vectors_of: Any,
    tmp_path: Path,
) -> None:  # fmt: skip
    table = proteins(10)
    wrong: list[tuple[Any, Any, dict[str, Any], str]] = [
        (tmp_path / "no", table, {}, "no bundle, no folder of a checkpoint, and no hf:ORG/NAME"),
        (fitted, tmp_path / "no.csv", {}, "no.csv: no such file"),
        (fitted, table, {"name": "v.npy"}, "v.npy: vectors can be written as .parquet, .h5, .hdf5"),
        (fitted, table[["size"]], {}, "lacks the input column 'sequence'"),
        (fitted, table, {"column": "sequence"}, "reads its own columns"),
        (fused, table, {"level": "element"}, "fuses sequence, record, so its vectors belong to whole rows"),
        (fitted, table, {"rows": 0}, "--rows 0: give 1 or more"),
        (fitted, table, {"colour": "place"}, "unknown option 'colour'; possible are column"),
        (fitted, table, {"color": "place"}, "--color place colours a map"),
        (fitted, table, {"device": "mps"}, "--device mps: torch finds none here"),
        (checkpoint, table[["size"]], {}, "reads none of the columns size \\(record\\)"),
        (checkpoint, table, {"column": "seq"}, "seq"),
        (checkpoint, table, {"column": "size"}, "reads none of the columns size"),
        (pretrained, pd.DataFrame({"dna": ["ACGTACGTACGT"] * 10}), {}, "reads none of the columns dna"),
        (tmp_path, table, {}, "config.json"),
    ]  # fmt: skip
    for source, rows, options, message in wrong:
        with pytest.raises(AnlageError, match=message):
            vectors_of(source, rows, **options)
    assert not list(tmp_path.iterdir())


def test_the_encoder_is_the_one_that_was_found(pretrained: anlage.Run, proteins: Any, vectors_of: Any) -> None:
    """A fresh encoder would give other vectors: the weights are the bundle's."""
    modality = pretrained.preparation.inputs[0].modality
    weights = find(str(pretrained.path), modality).weights
    table = proteins(4)
    before = stack(vectors_of(pretrained, table))
    torch.manual_seed(99)
    assert np.array_equal(before, stack(vectors_of(pretrained, table)))
    assert weights["embedding.ids.weight"].std() > 0


class Counting(anlage.Encoder):
    """An encoder of a user's own: how often each token stands in a sequence, through one layer."""

    layouts = frozenset({"Tokens"})
    width = 8

    def __init__(self, settings: Any, shape: Any):
        super().__init__(settings, shape)
        self.vocabulary, self.layer = shape.vocabulary, torch.nn.Linear(shape.vocabulary, 8)

    @property
    def blocks(self) -> list[torch.nn.Module]:
        return [self.layer]

    def forward(self, layout: Any) -> Encoded:
        counts = [torch.bincount(ids, minlength=self.vocabulary) for ids in layout.ids.split(layout.lengths.tolist())]
        return Encoded(self.layer(torch.stack(counts).float()))


def test_an_encoder_of_ones_own_stays_as_it_is(proteins: Any, vectors_of: Any, tmp_path: Path) -> None:
    table = proteins(40)
    run = anlage.fit(table, target="place", input="sequence", encoder=Counting, out=tmp_path / "own", epochs=1,
                     baseline_budget="1s", resamples=20, say=print)  # fmt: skip
    before = {name: tensor.clone() for name, tensor in run.model.state_dict().items()}
    found = vectors_of(run, table, precision="bf16")
    assert np.abs(stack(found) - direct(run, table)).max() < 1
    after = run.model.state_dict()
    assert all(
        after[name].dtype == tensor.dtype and torch.equal(after[name], tensor) for name, tensor in before.items()
    )
    with pytest.raises(AnlageError, match="makes no vectors of elements"):
        vectors_of(run, table, level="element")
