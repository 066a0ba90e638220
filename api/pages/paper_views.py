"""What the page says of a paper held against its record. Pure."""

from dataclasses import dataclass

from api.pages.i18n import mark, translate
from api.pages.spoken import title_of
from api.pages.words import STATUS_TAGS
from api.paper_check import PaperFinding
from certs.lifecycle import Standing
from certs.print_comparison import Agreement

TONES = {Agreement.SAME: "good", Agreement.DIFFERENT: "bad", Agreement.NOT_FOUND: "wait"}
WORDS = {Agreement.SAME: mark("the same"), Agreement.DIFFERENT: mark("different"), Agreement.NOT_FOUND: mark("not found")}
CONFLICT = mark("The codes on this paper belong to different certificates. One of them does not belong on it: do not accept the paper.")
ELSEWHERE = mark("A code on this paper leads to %(host)s, which is not this service. Do not open it.")
UNKNOWN = mark("A code on this paper looks like ours, but no certificate has it. Do not accept the paper.")
DIFFERS = mark("The paper says something else than the record. The record counts: do not accept the paper.")
AGREES = mark("Every field that was found says what the record says. No signature vouches for this file: the record counts.")
BY_EYE = mark("The code leads to this record. Compare the paper with it: a genuine code can be pasted onto another paper.")


@dataclass(frozen=True, slots=True)
class PaperView:
    """``fields``: (name, the record's value, tone, words); ``notices``: (tone, sentence); ``link``: the record's page."""

    notices: tuple[tuple[str, str], ...]
    fields: tuple[tuple[str, str, str, str], ...] = ()
    record: str = ""
    link: str = ""


def paper_view(finding: PaperFinding | None, locale: str) -> PaperView | None:
    """None where there was nothing to compare."""
    if finding is None or (finding.report is None and not finding.elsewhere):
        return None
    fields = tuple((one.name, one.recorded, TONES[one.agreement], translate(locale, WORDS[one.agreement])) for one in finding.fields)
    report = finding.report
    if report is None or report.certificate is None:
        return PaperView(_notices(finding, locale), fields)
    title = title_of(report.certificate.type_name, report.type_name_en, locale)
    standing = translate(locale, STATUS_TAGS[report.status][1])
    return PaperView(_notices(finding, locale), fields, f"{title} · {standing}", f"/v/{report.code}")


def _notices(finding: PaperFinding, locale: str) -> tuple[tuple[str, str], ...]:
    """The gravest first."""
    found = [("bad", translate(locale, ELSEWHERE) % {"host": host}) for host in finding.elsewhere]
    if finding.conflict:
        found.append(("bad", translate(locale, CONFLICT)))
    if finding.report is not None and finding.report.status is Standing.UNKNOWN and finding.report.certificate is None:
        found.append(("bad", translate(locale, UNKNOWN)))
    elif any(one.agreement is Agreement.DIFFERENT for one in finding.fields):
        found.append(("bad", translate(locale, DIFFERS)))
    elif finding.fields:
        found.append(("wait", translate(locale, AGREES)))
    elif finding.report is not None:
        found.append(("wait", translate(locale, BY_EYE)))
    return tuple(found)
