"""What was done at a ceremony, step by step: a text that people read, whose SHA-256 enters the log.

``sha256sum`` of the file gives the digest in the audit event ``keys.ceremony.hold``; the inclusion proof of that event shows
that the transcript is the one that was signed off.
"""

import datetime as dt
import hashlib
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Step:
    """One step: when, what was done, and what came of it (name and value)."""

    at: dt.datetime
    done: str
    facts: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Transcript:
    """A ceremony's steps in their order."""

    title: str
    steps: tuple[Step, ...] = ()

    def then(self, at: dt.datetime, done: str, **facts: str) -> "Transcript":
        """The transcript with one more step."""
        return Transcript(self.title, (*self.steps, Step(at, done, tuple(facts.items()))))

    def text(self) -> str:
        """UTF-8 text, one line a step and one a fact; the same steps always give the same octets."""
        lines = ["密钥仪式记录 KEY CEREMONY TRANSCRIPT", self.title, ""]
        for number, step in enumerate(self.steps, 1):
            lines.append(f"{number:>3}. {_instant(step.at)}  {step.done}")
            lines += [f"       {name.replace('_', ' ')}: {value}" for name, value in step.facts]
        return "\n".join(lines) + "\n"

    def digest(self) -> str:
        """SHA-256 of :meth:`text`, hexadecimal."""
        return hashlib.sha256(self.text().encode()).hexdigest()


def _instant(at: dt.datetime) -> str:
    return at.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
