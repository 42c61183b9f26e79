"""The identity of a value: 64 bits of a hash of its normal form. Duplicates, exclusions and what was seen rest on it.

A text is hashed as it stands after the modality's check; what is no text (images, records, vectors) as the encoder sees
it. 64 bits confuse two of a hundred million values with a probability of 0.03 %.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from anlage.errors import AnlageError
from anlage.modalities.protocol import Modality
from anlage.parts import digests_of

SEEN = "seen.safetensors"
"""The file of a bundle that holds the hashes of all values that were trained on, sorted."""
_KEY = "hashes"


def is_text(frame: pd.DataFrame) -> bool:
    """One column, whose known cells are all texts?"""
    if frame.shape[1] != 1:
        return False
    return all(isinstance(cell, str) for cell in frame.iloc[:, 0].dropna())


def text_hashes(texts: list[str]) -> np.ndarray:
    """[texts] uint64"""
    return _short(digests_of(text.encode() for text in texts))


def hashes(modality: Modality, frame: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """[rows] uint64, and [rows] bool: False where a row holds no value (its hash is then 0). ``frame`` holds checked
    values; the modality must be fitted unless they are texts."""
    result = np.zeros(len(frame), dtype=np.uint64)
    if is_text(frame):
        known = frame.iloc[:, 0].notna().to_numpy()
        result[known] = text_hashes(list(frame.iloc[:, 0][known]))
        return result, known
    prepared = modality.prepare(frame)
    known = prepared.index >= 0
    result[known] = _short(prepared.parts.digests())[prepared.index[known]]
    return result, known


def seen_file(trained: np.ndarray) -> bytes:
    """The content of SEEN for these hashes."""
    from safetensors.numpy import save

    return save({_KEY: np.sort(trained)})


def seen_rows(bundle: Path | str, modality: Modality, frame: pd.DataFrame) -> np.ndarray:
    """[rows] bool: which values of checked rows a pretrained bundle was trained on; all False where the bundle does not
    say (it was made by a fit). ``modality`` is fitted, as the bundle's own where values are no texts. AnlageError where
    the file is broken."""
    asked, known = hashes(modality, frame)
    return known & among(asked, seen_hashes(bundle))


def seen_hashes(bundle: Path | str) -> np.ndarray:
    """[values] uint64, sorted: what a bundle was pretrained on; none where it does not say."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    path = Path(bundle) / SEEN
    if not path.is_file():
        return np.zeros(0, dtype=np.uint64)
    try:
        trained = load_file(path)[_KEY]
    except (SafetensorError, KeyError, ValueError, TypeError, OSError) as error:
        raise AnlageError(f"{path}: not readable ({error}): copy the bundle again") from None
    if trained.dtype != np.uint64 or trained.ndim != 1:
        raise AnlageError(f"{path}: holds no hashes: copy the bundle again")
    return trained


def among(asked: np.ndarray, ordered: np.ndarray) -> np.ndarray:
    """[asked] bool: which of them stand in the sorted array."""
    place = np.minimum(np.searchsorted(ordered, asked), max(0, len(ordered) - 1))
    return ordered[place] == asked if len(ordered) else np.zeros(len(asked), dtype=bool)


def _short(digests: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(digests[:, :8]).view("<u8")[:, 0].astype(np.uint64)
