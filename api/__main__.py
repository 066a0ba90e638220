"""``python -m api`` is ``fujie``."""

from api.cli import main

main()
