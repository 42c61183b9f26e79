"""Text files, plain or gzip, line by line: bounded, decoded, and every fault named with its line number."""

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from anlage.errors import AnlageError

MAX_LINE = 50_000_000
"""Bytes. A line longer than this is a damaged or hostile file, not a row."""
MAX_RATIO = 500
"""A gzip file that unpacks to more than this many times its size (beyond the first gigabyte) is a bomb."""


def is_gzip(path: Path) -> bool:
    """By its first two bytes, whatever it is called."""
    with path.open("rb") as file:
        return file.read(2) == b"\x1f\x8b"


def head(path: Path, size: int = 65536) -> bytes:
    """The first ``size`` bytes of a file, unpacked where it is gzip.

    Raises:
        AnlageError: the gzip stream is damaged within these bytes.
    """
    with path.open("rb") as raw:
        if not is_gzip(path):
            return raw.read(size)
        unpacker, data = zlib.decompressobj(wbits=31), b""
        try:
            while len(data) < size and not unpacker.eof and (block := raw.read(4096)):
                data += unpacker.decompress(block, size - len(data))
        except zlib.error as error:
            raise AnlageError(f"{path}: the gzip file is damaged ({error}): fetch or pack it again") from error
        return data


def lines(path: Path, notes: list[str]) -> Iterator[tuple[int, str]]:
    """Yield (line number from 1, text without its line end). UTF-8, with or without a byte order mark; a line that is
    not UTF-8 is read as Latin-1, which is said once in ``notes``.

    Raises:
        AnlageError: damaged or cut-off gzip, a NUL byte, UTF-16, a line that is too long.
    """
    packed = is_gzip(path)
    size, total = path.stat().st_size, 0
    try:
        with gzip.open(path, "rb") if packed else path.open("rb") as file:
            for number, line in enumerate(_bounded(file, path), start=1):
                total += len(line)
                if packed and total > 1e9 and total > MAX_RATIO * size:
                    raise AnlageError(f"{path}: unpacks to more than {MAX_RATIO} times its size: refused")
                if number == 1:
                    line = _without_mark(line, path)
                if b"\0" in line:
                    raise AnlageError(f"{path}: line {number} holds a NUL byte: damaged, or not a text file")
                try:
                    text = line.decode("utf-8")
                except UnicodeDecodeError:
                    if not any("Latin-1" in note for note in notes):
                        notes.append(f"{path.name}: line {number} is not UTF-8: read as Latin-1")
                    text = line.decode("latin-1")
                yield number, text.rstrip("\r\n")
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        reason = "is cut off" if isinstance(error, EOFError) else f"is damaged ({error})"
        raise AnlageError(f"{path}: the gzip file {reason}: fetch or pack it again") from error


def _bounded(file: IO[bytes] | gzip.GzipFile, path: Path) -> Iterator[bytes]:
    number = 0
    while line := file.readline(MAX_LINE + 1):
        number += 1
        if len(line) > MAX_LINE:
            raise AnlageError(f"{path}: line {number} is longer than {MAX_LINE // 1_000_000} MB: refused")
        if line.count(b"\r") > 1 and b"\r\r\n" not in line:
            # Old Macintosh line ends: the whole file is one "line".
            yield from line.replace(b"\r\n", b"\r").split(b"\r")
        else:
            yield line


def _without_mark(line: bytes, path: Path) -> bytes:
    if line[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise AnlageError(f"{path}: is UTF-16 text: save it as UTF-8")
    return line.removeprefix(b"\xef\xbb\xbf")
