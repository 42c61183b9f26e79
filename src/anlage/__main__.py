"""``python -m anlage`` is the command ``anlage``."""

from anlage.cli import main

main()
