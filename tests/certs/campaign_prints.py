"""Thirty bad prints of every template, and of the longest offline code: both codes are read from each. ``make print-campaign``."""

from collections.abc import Callable
from functools import partial

from tests.certs.test_templates import NINE, check_both_codes, check_longest_code

PRINTS = 30


def main() -> None:
    unread = []
    checks: list[tuple[str, Callable[[int], None]]] = [(one, partial(check_both_codes, one)) for one in NINE]
    for seed in range(PRINTS):
        for name, check in [*checks, ("longest", check_longest_code)]:
            try:
                check(seed)
            except AssertionError as error:
                unread.append(f"{name}, seed {seed}: {error}")
    print(f"{PRINTS * (len(NINE) + 1)} prints, {len(unread)} not read", *unread, sep="\n")
    raise SystemExit(1 if unread else 0)


if __name__ == "__main__":
    main()
