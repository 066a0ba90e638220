"""The rules as a page: ``python -m certs.sharing_table`` writes the table into ``docs/sharing.md``."""

from pathlib import Path

from certs.sharing import RULES
from certs.sharing_reasons import sentences

PAGE = Path(__file__).parents[1] / "docs" / "sharing.md"
BEGIN, END = "<!-- rules -->\n", "<!-- /rules -->\n"


def markdown() -> str:
    """The table of rules and of all they may say, Chinese and English."""
    lines = ["| Rule 规则 | Code 代码 | 中文 | English |", "|---|---|---|---|"]
    for number, rule in enumerate(RULES, 1):
        for code in rule.codes:
            zh, en = sentences(code)
            lines.append(f"| {number} `{rule.name}` | `{code}` | {zh} | {en} |")
    return BEGIN + "\n".join(lines) + "\n" + END


def main() -> None:
    page = PAGE.read_text(encoding="utf-8")
    before, rest = page.split(BEGIN, 1)
    PAGE.write_text(before + markdown() + rest.split(END, 1)[1], encoding="utf-8")


if __name__ == "__main__":
    main()
