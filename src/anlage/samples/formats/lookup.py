"""Which reader reads which file: found by a scan of this folder."""

import importlib
import pkgutil
from pathlib import Path
from types import ModuleType

from anlage.errors import AnlageError


def formats() -> dict[str, ModuleType]:
    """Every format module of this folder, by file name. Each has NAME, SUFFIXES, recognises and chunks."""
    package = __name__.rpartition(".")[0]
    names = [m.name for m in pkgutil.iter_modules([str(Path(__file__).parent)]) if m.name != "lookup"]
    return {name: importlib.import_module(f"{package}.{name}") for name in names}


def format_of(path: Path, head: bytes) -> ModuleType:
    """The format of a file or folder: its suffix decides, its first bytes must agree; without a known suffix they
    decide alone.

    Raises:
        AnlageError: bytes and suffix disagree, or nobody reads it.
    """
    everyone = formats().values()
    suffix = path.with_suffix("").suffix if path.suffix == ".gz" else path.suffix
    able = [f for f in everyone if f.recognises(path, head)]
    named = [f for f in everyone if suffix.lower() in f.SUFFIXES] if path.is_file() else []
    if named:
        if named[0] in able:
            return named[0]
        likely = f"it looks like {able[0].NAME}" if able else _guess(head)
        raise AnlageError(f"{path}: is called {suffix}, but its content is not {named[0].NAME}: {likely}")
    if able:
        return able[0]
    known = ", ".join(s for f in everyone for s in f.SUFFIXES)
    raise AnlageError(f"{path}: {_guess(head)}; known are {known} and folders of images")


def _guess(head: bytes) -> str:
    magic = {
        b"PK": "it is a zip file or an Excel workbook (save the sheet as CSV)",
        b"\x89PNG": "it is one PNG image (give the folder)",
        b"\xff\xd8": "it is one JPEG image (give the folder)",
        b"PAR1": "it is a Parquet file",
        b"\x1f\x8b": "it is gzip within gzip",
        b"\x89HDF": "it is an HDF5 file",
        b"\xff\xfe": "it is UTF-16 text (save it as UTF-8)",
        b"\xfe\xff": "it is UTF-16 text (save it as UTF-8)",
        b"[": "it is one JSON array (write one object a line)",
        b"\x80": "it is a Python pickle, which is never read",
    }
    return next((text for start, text in magic.items() if head.startswith(start)), "no known format")
