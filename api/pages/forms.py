"""What people typed, and what is wrong with it."""

from dataclasses import dataclass

from starlette.datastructures import FormData
from starlette.requests import Request

from api.pages.i18n import locale_of, public_sentence
from keys.base.errors import FujieError

LONGEST = 256


@dataclass(frozen=True, slots=True)
class Trouble:
    """What is wrong, for the person (``text``) and for programs (``code``)."""

    code: str
    text: str


def typed(form: FormData, name: str, longest: int = LONGEST) -> str:
    """A text field; empty where it is missing, a file or longer than ``longest``."""
    value = form.get(name)
    return value if isinstance(value, str) and len(value) <= longest else ""


def trouble_of(request: Request, error: FujieError) -> Trouble:
    """An error in the reader's language."""
    return Trouble(error.code, public_sentence(error, locale_of(request)))
