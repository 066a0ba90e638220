"""What people typed, and what is wrong with it."""

import re
import unicodedata
from dataclasses import dataclass

from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.requests import Request

from api.pages.i18n import locale_of, public_sentence
from keys.base.errors import FujieError, InvalidInput

LONGEST = 256
NUMBER_LIKE = re.compile(r"[0-9]{15}")
# No database takes a NUL, no page can be written with half a surrogate pair.
UNWRITABLE = re.compile("[\0\ud800-\udfff]")


class FormUnreadable(InvalidInput):
    """The body is no form, or is in an encoding that does not decode it."""

    code = "FORM_UNREADABLE"
    status = 400
    public = ("表单无法识别，请重新提交。", "The form cannot be read. Please send it again.")


@dataclass(frozen=True, slots=True)
class Trouble:
    """What is wrong, for the person (``text``) and for programs (``code``)."""

    code: str
    text: str


class Beside(dict[str, Trouble]):
    """Troubles by the field they are shown beside; None for a field that is fine. Under ``form``: of the whole."""

    def __missing__(self, field: str) -> None:
        return None


async def posted(request: Request) -> FormData:
    """The fields of the form; files are refused. Raises FormUnreadable."""
    try:
        return await request.form(max_files=0, max_fields=16)
    except (ValueError, LookupError) as error:  # the sender names the encoding of a multipart form, and may name any
        raise FormUnreadable(type(error).__name__) from error


async def sent(request: Request, files: int, fields: int = 16, part: int = 1 << 20) -> FormData:
    """The fields of a form with up to ``files`` files, of ``part`` octets at most in a field that is none. Raises FormUnreadable."""
    try:
        return await request.form(max_files=files, max_fields=fields, max_part_size=part)
    except (ValueError, LookupError, HTTPException) as error:
        raise FormUnreadable(type(error).__name__) from error


def typed(form: FormData, name: str, longest: int = LONGEST) -> str:
    """A text field; empty where it is missing, a file, longer than ``longest`` or cannot be stored or shown."""
    value = form.get(name)
    return value if isinstance(value, str) and len(value) <= longest and not UNWRITABLE.search(value) else ""


def shown_again(text: str) -> str:
    """What was typed, for the form that is shown again; nothing where it looks like an ID number in the wrong field."""
    return "" if NUMBER_LIKE.search(unicodedata.normalize("NFKC", text)) else text


def trouble_of(request: Request, error: FujieError) -> Trouble:
    """An error in the reader's language."""
    return Trouble(error.code, public_sentence(error, locale_of(request)))
