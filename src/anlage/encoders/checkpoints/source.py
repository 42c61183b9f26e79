"""Where a checkpoint lies: a folder, or a model of the Hugging Face hub, which is fetched when the user names it."""

import re
from pathlib import Path

from anlage.errors import AnlageError

HUB = "hf:"
_NAME = re.compile(r"[\w.-]+/[\w.-]+", re.ASCII)


def folder_of(source: str | Path) -> Path:
    """The folder that holds the checkpoint. ``hf:ORG/NAME`` is downloaded (settings, vocabulary and safetensors of its
    top folder, nothing else) unless it is in the cache. Raises AnlageError."""
    text = str(source)
    if text.startswith(HUB):
        return _fetched(text)
    folder = Path(source)
    if not folder.is_dir():
        raise AnlageError(f"{source}: no such folder (a model of the hub is named {HUB}ORG/NAME)")
    return folder


def _fetched(text: str) -> Path:
    name = text.removeprefix(HUB)
    if not _NAME.fullmatch(name):
        raise AnlageError(f"{text}: a model of the hub is named {HUB}ORG/NAME")
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, RepositoryNotFoundError
    except ImportError:
        raise AnlageError(f"{text}: fetching models needs more: pip install 'anlage[hub]'") from None
    try:
        folder = snapshot_download(name, allow_patterns=["*.json", "*.txt", "*.safetensors"], ignore_patterns=["*/*"])
    except LocalEntryNotFoundError:
        raise AnlageError(f"{text}: not in the cache of this machine, and the hub cannot be reached") from None
    except RepositoryNotFoundError:
        raise AnlageError(f"{text}: the hub has no such model, or asks for your consent or login first") from None
    except (HfHubHTTPError, OSError, ValueError) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise AnlageError(f"{text}: could not be fetched ({reason})") from None
    return Path(folder)
