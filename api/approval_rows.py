"""An approval as old systems write it down: the members of ``POST /api/v1/approvals``, or one flat row of a table.

In a table the members have a column each; ``holder_name``, ``holder_code`` and ``holder_code_type`` hold one value for each holder with
``^`` between them; every other column is a field of the certificate, an empty cell none.
"""

from collections.abc import Mapping
from typing import Any

import orjson
from pydantic import ValidationError

from api.routes.certificates import ApprovalBody, _place
from certs.approvals import Approval
from keys.base.errors import InvalidInput

_HOLDER = {"holder_name": "name", "holder_code": "code", "holder_code_type": "code_type"}
_PLAIN = frozenset(one.alias or name for name, one in ApprovalBody.model_fields.items()) - {"holders", "fields"}
_BETWEEN = "^"


def approval_of(members: Mapping[str, Any]) -> Approval:
    """The core's value. Raises InvalidInput, which names members and repeats no value."""
    try:
        return ApprovalBody.model_validate_json(orjson.dumps(members if "holders" in members else _nested(members))).approval()
    except ValidationError as refusal:
        errors = refusal.errors(include_url=False, include_context=False, include_input=False)
        told = [{"field": _place(one["loc"], one["type"]), "message": one["type"]} for one in errors]
        raise InvalidInput("the row does not fit", errors=told) from None
    except (orjson.JSONEncodeError, ValueError):
        raise InvalidInput("unreadable", errors=[{"field": "row", "message": "unreadable"}]) from None


def _nested(row: Mapping[str, Any]) -> dict[str, Any]:
    """The members of a flat row."""
    plain = {name: value for name, value in row.items() if name in _PLAIN and value != ""}
    columns = {inner: str(row.get(name, "")).split(_BETWEEN) for name, inner in _HOLDER.items()}
    count = max(map(len, columns.values()))
    holders = [{name: values[place].strip() for name, values in columns.items() if place < len(values)} for place in range(count)]
    fields = {name: value for name, value in row.items() if name not in _PLAIN and name not in _HOLDER and value != ""}
    return plain | {"holders": holders, "fields": fields}
