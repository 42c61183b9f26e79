"""Someone else's words in a Markdown file."""

import re
from typing import Any


def plain(value: Any) -> str:
    """Words that stay words: one line, no table cells, no links, no HTML."""
    flat = " ".join(str(value).split()).replace("&", "&amp;").replace("<", "&lt;")
    return re.sub(r"([|`*\[\]\\])", r"\\\1", flat)
