import numpy as np
import pandas as pd
import pytest

from anlage.errors import AnlageError
from anlage.modalities.lookup import from_json, get, names
from anlage.modalities.protocol import Modality
from anlage.modalities.recognise import parse, recognise


def frame() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    n = 40

    def words(letters: str, length: int) -> list[str]:
        return ["".join(rng.choice(list(letters), length)) for _ in range(n)]

    return pd.DataFrame(
        {
            "protein": words("ACDEFGHIKLMNPQRSTVWY", 80),
            "promoter": words("ACGT", 60),
            "transcript": words("ACGU", 60),
            "age": rng.normal(size=n),
            "sex": rng.choice(["f", "m"], n),
            "picture": [np.zeros((5, 5), dtype=np.uint8)] * n,
            "embedding": [[0.1, 0.2, 0.3]] * n,
        }
    )


def test_lookup_finds_the_folders() -> None:
    assert {"protein", "dna", "rna", "record", "image", "vector"} <= set(names())
    assert all(issubclass(get(n), Modality) and get(n).name == n for n in names())
    with pytest.raises(AnlageError, match="protein"):
        get("proteins")


def test_each_kind_of_column() -> None:
    found = {c: r.modality.name if r.modality else None for c, r in recognise(frame()).items()}
    assert found == {
        "protein": "protein",
        "promoter": "dna",
        "transcript": "rna",
        "age": "record",
        "sex": "record",
        "picture": "image",
        "embedding": "vector",
    }
    assert all(r.evidence for r in recognise(frame()).values())


def test_overrides_win_and_set() -> None:
    found = recognise(frame(), ["promoter=protein:max_length=50"])["promoter"]
    assert found.modality is not None and found.modality.name == "protein"
    assert found.modality.to_json()["settings"]["max_length"] == 50


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("promoter", "NAME=MODALITY"),
        ("promotor=dna", "promoter"),
        ("promoter=deoxy", "there are dna"),
        ("promoter=dna:longest=5", "max_length"),
        ("promoter=dna:max_length=five", "whole number"),
        ("promoter=dna:max_length=0", "at least 2"),
    ],
)
def test_wrong_overrides_say_what_is_valid(text: str, word: str) -> None:
    with pytest.raises(AnlageError, match=word):
        recognise(frame(), [text])


def test_names_may_hold_equal_signs() -> None:
    odd = frame()[["promoter"]].rename(columns={"promoter": "a=b"})
    assert recognise(odd, ["a=b=rna"])["a=b"].modality.name == "rna"  # type: ignore[union-attr]


def test_parse() -> None:
    assert parse(int | None, "none") is None and parse(int | None, "3") == 3
    assert parse(bool, "no") is False and parse(tuple[int, ...], "64x32") == (64, 32)
    with pytest.raises(ValueError, match="true or false"):
        parse(bool, "perhaps")


@pytest.mark.parametrize("column", ["protein", "promoter", "age", "picture", "embedding"])
def test_from_json_inverts_to_json(column: str) -> None:
    modality = recognise(frame())[column].modality
    assert modality is not None
    modality.fit(modality.check(frame()[[column]]).frame)
    again = from_json(modality.to_json())
    assert again.to_json() == modality.to_json() and again.shape == modality.shape
