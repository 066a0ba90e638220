"""What happened to one's certificates, in words, for the page that shows them."""

from collections.abc import Collection, Mapping

from api.pages.i18n import CHINESE, mark, moment, translate
from certs.notices import Notice, mark_seen, notices_of
from certs.topics import TOPICS
from keys.base.clock import Clock
from keys.base.db import AsyncSession

MOVES = {
    "suspend": mark("Was suspended"),
    "resume": mark("Is in force again"),
    "revoke": mark("Was revoked"),
    "withdraw": mark("Was withdrawn"),
    "cancel": mark("Was cancelled"),
    "expire": mark("Has expired"),
    "renew": mark("Was renewed: the new one takes its place"),
    "change": mark("Was changed: the new one takes its place"),
    "transfer": mark("Is passing on to another authority"),
    "undo_transfer": mark("Its passing on was undone"),
    "transfer_in": mark("Has passed on to another authority"),
}
TONES = {"suspend": "wait", "revoke": "bad", "withdraw": "bad", "cancel": "bad", "expire": "wait"}


async def notices_for(session: AsyncSession, clock: Clock, indexes: Collection[bytes], locale: str) -> list[dict[str, object]]:
    """The latest notices in words, and from now on they are no news."""
    found = await notices_of(session, indexes) if indexes else []
    if any(one.new for one in found):
        await mark_seen(session, clock.now(), indexes)
    return [_words(one, locale) for one in found]


def _words(one: Notice, locale: str) -> dict[str, object]:
    topic = TOPICS[one.topic]
    what = translate(locale, MOVES[one.move]) if one.move in MOVES else (topic.zh if locale == CHINESE else topic.en)
    return {
        "id": str(one.certificate_id), "title": one.title, "type": one.type_code, "what": what, "at": moment(one.at, locale),
        "new": one.new, "tone": TONES.get(one.move, "good"),
    }  # fmt: skip


def in_english(notices: list[dict[str, object]], names: Mapping[str, str]) -> list[dict[str, object]]:
    """The same with the types' English names, where they have one."""
    return [one | {"title": names.get(str(one["type"])) or one["title"]} for one in notices]
