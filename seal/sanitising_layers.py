"""Which layers of a PDF are shown by default (optional content, ISO 32000-1 §8.11).

What is hidden when the document is opened is no part of what an approver sees, so it is no part of what is sealed.
"""
# mypy: allow-untyped-calls

from collections.abc import Iterable
from typing import Any

import pikepdf

from seal.sanitising_errors import Malformed

_DEPTH = 16


class Layers:
    """The default configuration ``/OCProperties /D``: what is on, what is off."""

    def __init__(self, root: Any) -> None:
        properties = root.get("/OCProperties")
        default = properties.get("/D") if isinstance(properties, pikepdf.Dictionary) else None
        found = default if isinstance(default, pikepdf.Dictionary) else pikepdf.Dictionary()
        self._base = str(found.get("/BaseState", "/ON")) != "/OFF"
        self._on = _named(found.get("/ON"))
        self._off = _named(found.get("/OFF"))

    def shows(self, content: Any, depth: int = 0) -> bool:
        """Whether what belongs to this group (OCG) or membership (OCMD) is shown. What cannot be understood is shown."""
        if depth > _DEPTH:
            raise Malformed("layers nested without end")
        if not isinstance(content, pikepdf.Dictionary):
            return True
        if str(content.get("/Type", "")) != "/OCMD":
            return self._group(content)
        expression = content.get("/VE")
        if isinstance(expression, pikepdf.Array):
            return self._expression(expression, depth + 1)
        return self._policy(content)

    def _group(self, group: Any) -> bool:
        if group.objgen in self._off:
            return False
        return self._base or group.objgen in self._on

    def _policy(self, membership: Any) -> bool:
        groups = membership.get("/OCGs")
        members = [groups] if isinstance(groups, pikepdf.Dictionary) else list(groups or ())
        states = [self._group(one) for one in members if isinstance(one, pikepdf.Dictionary)]
        if not states:
            return True
        policy = str(membership.get("/P", "/AnyOn"))
        return {"/AllOn": all(states), "/AnyOff": not all(states), "/AllOff": not any(states)}.get(policy, any(states))

    def _expression(self, expression: Any, depth: int) -> bool:
        operator, *rest = list(expression) or [pikepdf.Name("/And")]
        values = [self._expression(one, depth + 1) if isinstance(one, pikepdf.Array) else self.shows(one, depth + 1) for one in rest]
        if depth > _DEPTH:
            raise Malformed("layers nested without end")
        if str(operator) == "/Not":
            return not any(values[:1])
        return any(values) if str(operator) == "/Or" else all(values)


def _named(groups: Iterable[Any] | None) -> frozenset[tuple[int, int]]:
    return frozenset(one.objgen for one in groups or () if isinstance(one, pikepdf.Dictionary))
