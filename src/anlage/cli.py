"""The command line: one file in ``commands/`` for each verb, found by its name. Parse, call, print.

Flags come from the settings dataclasses (their docstrings are the help) by tyro. Nothing heavy is imported before the
words are understood, so that help and mistakes in flags answer at once.
"""

import os
import pkgutil
import sys
from collections.abc import Sequence
from importlib import import_module

import anlage.commands
from anlage import __version__
from anlage.errors import AnlageError

HELP = """\
anlage: bring a biomedical table, get a model that you can trust.

  anlage fit TABLE --target COLUMN --out RUN     learn, judge against plain baselines, pack into a bundle
  anlage predict RUN TABLE -o FILE               predictions for new rows
  anlage evaluate RUN TABLE                      judge a bundle on new labelled rows
  anlage compare RUN1 RUN2                       which run is better on the same rows
  anlage update RUN NEW --out RUN2               go on learning from new rows, and see what was forgotten
  anlage embed SOURCE TABLE -o FILE              vectors of rows, or of their elements, from any encoder
  anlage search VECTORS QUERIES                  nearest neighbours among vectors
  anlage pretrain CORPUS --out ENCODER           train an encoder without labels, for fit --encoder ENCODER
  anlage inspect TABLE                           what is in a table, and what is wrong with it
  anlage audit TABLE [--target COLUMN]           what could make a metric untrue: leaks, conflicts, telling columns
  anlage advise TABLE --target COLUMN            which model to fit, why, and how long it takes here
  anlage demo                                    three small studies, no network, a few minutes

  anlage COMMAND --help explains the options of a command; anlage --version.

Start here:
  anlage inspect proteins.fasta
  anlage fit proteins.fasta --target localisation --out runs/loc
  anlage predict runs/loc new.fasta -o predictions.csv
"""


def commands() -> list[str]:
    """The names of all commands."""
    return [module.name for module in pkgutil.iter_modules(anlage.commands.__path__) if module.name != "shared"]


def main(words: Sequence[str] | None = None) -> None:
    """The entry point: exits with 0, 1 (a fault of anlage), 2 (something that the user can mend) or 130 (Ctrl-C)."""
    words = sys.argv[1:] if words is None else list(words)
    if not words or words[0] in ("-h", "--help", "help"):
        print(HELP, end="")
        sys.exit(0 if words else 2)
    if words[0] in ("-V", "--version"):
        print(f"anlage {__version__}")
        sys.exit(0)
    try:
        known = commands()
        if words[0] not in known:
            raise AnlageError(f"unknown command {words[0]!r}: possible are {', '.join(known)}")
        getattr(import_module(f"{anlage.commands.__name__}.{words[0]}"), words[0])(words[1:])
    except AnlageError as error:
        _fail(str(error), 2)
    except KeyboardInterrupt:
        _fail("interrupted", 130)
    except BrokenPipeError:  # `anlage inspect ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except Exception as error:
        if os.environ.get("ANLAGE_DEBUG") == "1":
            raise
        what = " ".join(str(error).split())[:300]
        _fail(f"internal error: {type(error).__name__}: {what}. Please report it; ANLAGE_DEBUG=1 shows where", 1)


def _fail(message: str, code: int) -> None:
    from anlage.commands.shared import fail

    fail(message, code)
