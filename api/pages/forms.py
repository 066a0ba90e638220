"""What people typed, and what is wrong with it."""

import re
import unicodedata
from dataclasses import dataclass

from starlette.datastructures import FormData
from starlette.requests import Request

from api.pages.i18n import locale_of, public_sentence
from keys.base.errors import FujieError

LONGEST = 256
NUMBER_LIKE = re.compile(r"[0-9]{15}")


@dataclass(frozen=True, slots=True)
class Trouble:
    """What is wrong, for the person (``text``) and for programs (``code``)."""

    code: str
    text: str


def typed(form: FormData, name: str, longest: int = LONGEST) -> str:
    """A text field; empty where it is missing, a file, longer than ``longest`` or holds a NUL, which no database takes."""
    value = form.get(name)
    return value if isinstance(value, str) and len(value) <= longest and "\0" not in value else ""


def shown_again(text: str) -> str:
    """What was typed, for the form that is shown again; nothing where it looks like an ID number in the wrong field."""
    return "" if NUMBER_LIKE.search(unicodedata.normalize("NFKC", text)) else text


def trouble_of(request: Request, error: FujieError) -> Trouble:
    """An error in the reader's language."""
    return Trouble(error.code, public_sentence(error, locale_of(request)))
