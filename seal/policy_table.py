"""The rules as a page: ``python -m seal.policy_table`` writes the table into ``docs/seal-authority.md``."""

from pathlib import Path

from seal.policy import RULES
from seal.reasons import sentences

PAGE = Path(__file__).parents[1] / "docs" / "seal-authority.md"
BEGIN, END = "<!-- rules -->\n", "<!-- /rules -->\n"


def markdown() -> str:
    """The table of rules and of all they may say, Chinese and English."""
    lines = [BEGIN, "| Rule 规则 | Code 代码 | 中文 | English |", "|---|---|---|---|"]
    for number, rule in enumerate(RULES, 1):
        for code in rule.codes:
            zh, en = sentences(code)
            lines.append(f"| {number} `{rule.name}` | `{code}` | {zh} | {en} |")
    return lines[0] + "\n".join(lines[1:]) + "\n" + END


def main() -> None:
    page = PAGE.read_text(encoding="utf-8")
    before, rest = page.split(BEGIN, 1)
    after = rest.split(END, 1)[1]
    PAGE.write_text(before + markdown() + after, encoding="utf-8")


if __name__ == "__main__":
    main()
