"""``python -m api`` is ``fujie``."""

from api.cli import main

if __name__ == "__main__":
    main()
