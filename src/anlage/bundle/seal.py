"""Hashes that tell whether a bundle is the one that was written."""

import hashlib
import re
from pathlib import Path

_SEAL = re.compile(rb'"seal": "([0-9a-f]{64})"')
_BLANK = b'"seal": "' + b"0" * 64 + b'"'
BLANK_SEAL = "0" * 64
"""What ``bundle.json`` holds under "seal" while its own hash is taken."""


def file_hash(path: Path) -> str:
    """SHA-256 of a file, read piece by piece."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def seal(raw: bytes) -> bytes:
    """Write the hash of ``raw`` into its blank seal: a file cannot list its own hash like that of the others."""
    if raw.count(_BLANK) != 1:
        raise ValueError("the document needs exactly one blank seal")
    return raw.replace(_BLANK, b'"seal": "' + hashlib.sha256(raw).hexdigest().encode() + b'"')


def sealed(raw: bytes) -> bool:
    """Is every byte as it was when it was sealed?"""
    found = _SEAL.search(raw)
    if found is None:
        return False
    blank = raw[: found.start()] + _BLANK + raw[found.end() :]
    return hashlib.sha256(blank).hexdigest().encode() == found.group(1)
