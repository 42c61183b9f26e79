"""FASTA, plain or gzip; attributes stand in the header: ``>P12345 TARGET=Nucleus SET=train VALIDATION=False``."""

import re
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from anlage.errors import AnlageError, Problem
from anlage.samples.chunk import Chunk
from anlage.samples.lines import lines

NAME = "FASTA"
SUFFIXES = (".fasta", ".fa", ".faa", ".fna", ".ffn", ".fas")
MAX_HEADER = 100_000
MAX_ATTRIBUTES = 1000

# KEY="quoted", KEY='quoted', KEY=value, or a word of the description. A semicolon separates attributes where KEY= or
# white space follows it, and otherwise belongs to the value (labels joined by semicolons).
_PIECE = re.compile(
    r"""([^\s;="']+)=(?:"([^"]*)"|'([^']*)'|((?:[^\s;]|;(?![^\s;=]+=|\s|;|$))*))|([^\s;]+)""",
)
# UniProt writes OS=Homo sapiens OX=9606: there, values run up to the next two-letter key.
_UNIPROT = re.compile(r"\b(OS|OX|GN|PE|SV)=(.*?)(?=\s(?:OS|OX|GN|PE|SV)=|$)")


def recognises(path: Path, head: bytes) -> bool:
    """The first line that is no comment starts with ``>``."""
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    while start.startswith(b";") and b"\n" in start:
        start = start.partition(b"\n")[2].lstrip()
    return path.is_file() and start.startswith(b">")


def header(text: str) -> tuple[str, dict[str, str], str]:
    """A header without ``>`` → (id, attributes, the rest as description).

    >>> header('P1 TARGET=Nucleus;SET=train a kinase')
    ('P1', {'TARGET': 'Nucleus', 'SET': 'train'}, 'a kinase')
    """
    identifier = re.match(r"[^\s;]*", text).group()  # type: ignore[union-attr]
    rest = text[len(identifier) :]
    attributes: dict[str, str] = {}
    if " OX=" in rest and " OS=" in rest:
        attributes = {key: value.strip() for key, value in _UNIPROT.findall(rest)}
        return identifier, attributes, _UNIPROT.sub("", rest).strip()
    words = []
    for piece in _PIECE.finditer(rest):
        key, double, single, plain, word = piece.groups()
        if key is None:
            words.append(word)
            continue
        name = f"{key}_attribute" if key in ("id", "sequence", "description") else key
        attributes[name] = next((v for v in (double, single, plain) if v is not None), "")
    return identifier, attributes, " ".join(words)


def chunks(path: Path, rows: int) -> Iterator[Chunk]:
    """Frames with columns id, sequence, the attributes, and description where a header has one.

    Raises:
        AnlageError: text before the first header, a header that is too long, too many different attributes.
    """
    notes: list[str] = []
    problems: list[Problem] = []
    records: list[dict[str, str]] = []
    body: list[str] = []
    keys: set[str] = set()
    for number, text in lines(path, notes):
        if text.startswith(">"):
            if records:
                records[-1]["sequence"] = "".join(body)
                body = []
            if len(records) == rows:
                yield Chunk(_frame(records), problems, notes)
                records, problems, notes = [], [], []
            if len(text) > MAX_HEADER:
                raise AnlageError(f"{path}: line {number}: the header is longer than {MAX_HEADER // 1000} kB: refused")
            identifier, attributes, description = header(text[1:].strip())
            if not identifier:
                identifier = f"line {number}"
                problems.append(Problem(identifier, "id", "the header names no id: the line number stands in", False))
            keys.update(attributes)
            if len(keys) > MAX_ATTRIBUTES:
                raise AnlageError(f"{path}: more than {MAX_ATTRIBUTES} different attributes (KEY=…) in the headers")
            records.append({"id": identifier, "sequence": ""} | attributes | {"description": description})
        elif records:
            if not text.startswith(";"):
                body.append("".join(text.split()))
        elif text.strip() and not text.startswith(";"):
            raise AnlageError(f"{path}: line {number} stands before the first header '>'")
    if records:
        records[-1]["sequence"] = "".join(body)
    yield Chunk(_frame(records), problems, notes)


def _frame(records: list[dict[str, str]]) -> pd.DataFrame:
    names = dict.fromkeys(["id", "sequence"])
    for record in records:
        names.update(dict.fromkeys(record))
    names.pop("description", None)
    if any(r["description"] for r in records):
        names["description"] = None
    return pd.DataFrame({n: pd.Series([r.get(n) for r in records], dtype=object) for n in names})
