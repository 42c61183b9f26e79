"""Which id of a checkpoint stands for each of our tokens."""

import re
from collections.abc import Sequence
from pathlib import Path

from anlage.encoders.checkpoints.config import read_json
from anlage.errors import AnlageError

TEXT = "vocab.txt"
JSON = "tokenizer.json"
_BYTES = 2**26
_NAMES = {
    "<pad>": ("<pad>", "[PAD]"),
    "<mask>": ("<mask>", "[MASK]"),
    "<start>": ("<cls>", "[CLS]", "<s>", "<bos>"),
    "<end>": ("<eos>", "[SEP]", "</s>"),
    "<unknown>": ("<unk>", "[UNK]"),
}
"""What published vocabularies call our special tokens."""
_SPECIAL = re.compile(r"<[^<>]*>|\[[^\[\]]*\]")


def ids_of(folder: Path, tokens: Sequence[str], size: int, exact: bool) -> tuple[dict[str, int], list[str]]:
    """The text of each of our tokens, in their order → the checkpoint's id for it; and notes.

    ``size``: ids that the model has vectors for; the vocabulary has exactly so many (``exact``) or no more. What the
    checkpoint lacks becomes its unknown token, which a note says. AnlageError where its tokens are not single letters.
    """
    path, vocabulary = _read(folder)
    if len(vocabulary) > size or (exact and len(vocabulary) < size) or max(vocabulary.values()) >= size:
        raise AnlageError(f"{path}: {len(vocabulary):,} tokens, but config.json says vocab_size {size:,}")
    pieces = [text for text in vocabulary if len(text) > 1 and not _SPECIAL.fullmatch(text)]
    if pieces:
        raise AnlageError(
            f"{path}: tokens such as {pieces[0]!r:.40} are longer than one letter; sequences are sent letter by "
            "letter: choose a model that reads single letters"
        )
    found: dict[str, int] = {}
    for token in tokens:
        names = [name for name in _NAMES.get(token, (token,)) if name in vocabulary]
        found |= {token: vocabulary[names[0]]} if names else {}
    lacking = [token for token in tokens if token not in found]
    if not found.keys() - _NAMES.keys():
        raise AnlageError(f"{path}: the checkpoint knows none of the letters {''.join(lacking):.40}")
    unknown = next((vocabulary[name] for name in _NAMES["<unknown>"] if name in vocabulary), -1)
    if lacking and unknown < 0:
        raise AnlageError(f"{path}: no token for {lacking[0]}, and none for what is unknown")
    notes = [f"the checkpoint has no token for {' '.join(lacking)}: read as its unknown token"] if lacking else []
    return {token: found.get(token, unknown) for token in tokens}, notes


def _read(folder: Path) -> tuple[Path, dict[str, int]]:
    if (folder / TEXT).is_file():
        return folder / TEXT, _from_text(folder / TEXT)
    if (folder / JSON).is_file():
        return folder / JSON, _from_json(folder / JSON)
    raise AnlageError(f"{folder} holds neither {TEXT} nor {JSON}: which token an id stands for is unknown")


def _from_text(path: Path) -> dict[str, int]:
    try:
        if path.stat().st_size > _BYTES:
            raise AnlageError(f"{path}: {path.stat().st_size:,} bytes; such a file has at most {_BYTES:,}")
        lines = path.read_text("utf-8").rstrip().split("\n")
    except OSError as error:
        raise AnlageError(f"{path}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise AnlageError(f"{path}: not a text in UTF-8") from None
    vocabulary = {line.strip(): number for number, line in enumerate(lines)}
    if len(vocabulary) < len(lines):
        raise AnlageError(f"{path}: some token stands on more than one line")
    return vocabulary


def _from_json(path: Path) -> dict[str, int]:
    """tokenizer.json: a mapping, or a list of (token, score); added tokens beside it."""
    data = read_json(path, _BYTES)
    model, added = data.get("model"), data.get("added_tokens") or []
    words = model.get("vocab") if isinstance(model, dict) else None
    if isinstance(words, list):
        pairs = enumerate(entry[0] if isinstance(entry, list) and entry else None for entry in words)
        words = {word: number for number, word in pairs if isinstance(word, str)}
    entries = [entry for entry in added if isinstance(entry, dict)] if isinstance(added, list) else []
    extra = {str(entry.get("content")): entry.get("id") for entry in entries}
    vocabulary = {**words, **extra} if isinstance(words, dict) else {}
    sound = all(type(number) is int and number >= 0 for number in vocabulary.values())
    if not vocabulary or not sound or len(set(vocabulary.values())) < len(vocabulary):
        raise AnlageError(f"{path}: no vocabulary of distinct tokens and ids")
    return vocabulary
