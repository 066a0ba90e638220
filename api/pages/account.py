"""My account: how well I am known, the certificates in my name, where I am logged in, and the real-name check."""

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from api.pages.forms import Trouble, posted, shown_again, trouble_of, typed
from api.pages.guard import house_of, page, redirect
from api.pages.i18n import CHINESE, locale_of, mark, moment, translate
from api.pages.rendering import render
from api.pages.words import CODE_TYPES, LEVELS, METHODS, REAL_NAME_OUTCOMES, STATUS_TAGS
from api.session import Present, require_login
from certs.reads import certificates_held, types_of
from certs.records import Certificate
from identity.numbers import FLAGS
from identity.people import holder_index_of
from identity.realname import RealNameResult, bind_real_name, parse_claim, with_registry
from identity.realname_sources import Outcome
from identity.sessions import Session, sessions_of
from keys.base.clock import civil_date
from keys.base.errors import Conflict, FujieError, InvalidInput, Throttled

DONE = mark("Your real name is confirmed.")


@dataclass(frozen=True, slots=True)
class Errors:
    """What is wrong, beside each field."""

    name: Trouble | None = None
    code: Trouble | None = None


@dataclass(frozen=True, slots=True)
class Sent:
    """What the form held. The number is not kept: it is never shown again."""

    name: str = ""
    code_type: str = "111"


NO_ERRORS, NOTHING_SENT = Errors(), Sent()


@page
async def show_account(request: Request) -> Response:
    require_login(request)
    done = translate(locale_of(request), DONE) if request.query_params.get("done") == "real-name" else ""
    return await _account(request, done=done)


@page
async def submit_real_name(request: Request) -> Response:
    """Bind the number if the registry agrees; else the form again, without the number."""
    present = require_login(request)
    form = await posted(request)
    sent = Sent(typed(form, "name"), typed(form, "code_type"))
    house = house_of(request)
    realname = with_registry(house.database, house.redis, house.clock, house.personal)
    try:
        claim = parse_claim(sent.name, typed(form, "code"), sent.code_type)
        result = await bind_real_name(realname, present.actor, claim)
    except InvalidInput as error:
        return await _account(request, status=error.status, sent=sent, errors=_field_errors(request, error))
    except (Conflict, Throttled) as error:
        return await _account(request, status=error.status, sent=sent, trouble=trouble_of(request, error))
    if result.outcome is Outcome.MATCH:
        return redirect("/account?done=real-name")
    return await _account(request, status=422, sent=sent, errors=_disagreement(request, result))


def _field_errors(request: Request, error: FujieError) -> Errors:
    """The journey names fields; an error elsewhere is shown beside the number."""
    language = "message_zh" if locale_of(request) == CHINESE else "message"
    listed = error.extra.get("errors")
    found = {item["field"]: Trouble(error.code, item[language]) for item in listed} if isinstance(listed, list) else {}
    other = found.get("code") or found.get("code_type") or found.get("mobile")
    return Errors(name=found.get("name"), code=other)


def _disagreement(request: Request, result: RealNameResult) -> Errors:
    """Why the number was not bound: what the number itself says, where it says something, else the registry's answer."""
    locale = locale_of(request)
    flags = [FLAGS[flag][0 if locale == CHINESE else 1] for flag in result.flags if flag in FLAGS]
    told = translate(locale, REAL_NAME_OUTCOMES[result.outcome])
    trouble = Trouble(f"REAL_NAME_{result.outcome.name}", " ".join([told, *flags]))
    return Errors(name=trouble) if result.outcome is Outcome.NAME_DIFFERS else Errors(code=trouble)


async def _account(
    request: Request,
    *,
    status: int = 200,
    done: str = "",
    sent: Sent = NOTHING_SENT,
    trouble: Trouble | None = None,
    errors: Errors = NO_ERRORS,
) -> Response:
    present, house, locale = require_login(request), house_of(request), locale_of(request)
    now = house.clock.now()
    async with house.database.session() as session:
        index = await holder_index_of(session, present.account.id)
        held = (await certificates_held(session, index)).items if index else ()
        sessions = await sessions_of(session, now, present.account.id)
        kinds = await types_of(session, held) if locale != CHINESE else {}
    english = {code: kind.name_en for (code, _), kind in kinds.items()}
    level = present.account.identity_level
    return render(
        request,
        "account.html",
        status=status,
        done=done,
        bound=index is not None,
        level=level,
        level_words=translate(locale, LEVELS[level]),
        identity=_identity(present),
        certificates=[_certificate(one, locale, one.standing(civil_date(now)), english.get(one.type_code, "")) for one in held],
        sessions=[_session(one, present, locale) for one in sessions],
        name=shown_again(sent.name),
        code_type=sent.code_type,
        code_types=[(code, translate(locale, label)) for code, label in CODE_TYPES.items() if code != "001"],
        trouble=trouble,
        errors=errors,
    )


def _identity(present: Present) -> dict[str, str] | None:
    account = present.account
    return {"name": account.name, "number": account.number_masked} if account.name and account.number_masked else None


def _certificate(certificate: Certificate, locale: str, standing: str, english: str) -> dict[str, str]:
    tone, label = STATUS_TAGS[standing]
    return {
        "title": english or certificate.type_name,
        "printed_title": certificate.type_name if english else "",
        "number": certificate.number,
        "issuer": certificate.issuer_name,
        "href": f"/v/{certificate.verification_code}" if certificate.verification_code else "",
        "tone": tone,
        "status": translate(locale, label),
    }


def _session(session: Session, present: Present, locale: str) -> dict[str, object]:
    methods = [translate(locale, METHODS[name]) for name in session.amr if METHODS.get(name)]
    return {"title": moment(session.auth_time, locale), "text": " + ".join(methods), "here": session.id == present.session.id}


routes: list[BaseRoute] = [
    Route("/account", show_account, methods=["GET"]),
    Route("/account/real-name", submit_real_name, methods=["POST"]),
]
