"""Administrative divisions, GB/T 2260: six digits, two each for province, prefecture and county."""


def is_division(code: str) -> bool:
    return len(code) == 6 and code.isascii() and code.isdigit()


def covers(division: str | None, other: str) -> bool:
    """Whether ``other`` lies in ``division``: 990100 covers 990100 and 990102, 990000 both; nothing covers without a code."""
    if division is None or not is_division(division) or not is_division(other):
        return False
    return other.startswith(significant(division))


def significant(division: str) -> str:
    """The digits that codes of the division and of those below it begin with; none for the whole country."""
    while division.endswith("00"):
        division = division[:-2]
    return division
