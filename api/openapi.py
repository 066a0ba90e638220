"""What FastAPI cannot know: the lean routes and how to be let in (``/api/openapi.json``)."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

PROBLEM = {
    "description": "RFC 9457 problem document; codes in docs/errors.md",
    "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
}
SCHEMAS: dict[str, Any] = {
    "Problem": {
        "type": "object",
        "required": ["type", "title", "status", "code"],
        "properties": {
            "type": {"type": "string"},
            "title": {"type": "string", "description": "One sentence, Chinese or English by Accept-Language"},
            "status": {"type": "integer"},
            "code": {"type": "string", "description": "Stable"},
            "errors": {"type": "array", "items": {"type": "object"}},
            "retry_after": {"type": "integer", "description": "Seconds"},
        },
    },
    "Check": {
        "type": "object",
        "required": ["name", "outcome", "detail"],
        "properties": {
            "name": {"type": "string"},
            "outcome": {"enum": ["PASSED", "INDETERMINATE", "FAILED", "NOTICE"]},
            "detail": {"type": "string"},
        },
    },
    "Verdict": {
        "type": "object",
        "required": ["kind", "indication", "sub_indication", "signatures", "certificate"],
        "properties": {
            "kind": {"enum": ["pdf", "ofd", "seal", "qr"]},
            "indication": {"enum": ["TOTAL_PASSED", "TOTAL_FAILED", "INDETERMINATE", "UNREADABLE", "NO_SIGNATURE"]},
            "sub_indication": {"type": ["string", "null"], "description": "EN 319 102-1"},
            "signatures": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {
                        "field": {"type": ["string", "null"]},
                        "indication": {"type": "string"},
                        "sub_indication": {"type": ["string", "null"]},
                        "signer": {"type": ["string", "null"]},
                        "signing_time": {"type": ["string", "null"], "format": "date-time"},
                        "level": {"type": ["string", "null"]},
                        "seal": {"type": ["object", "null"]},
                        "checks": {"type": "array", "items": {"$ref": "#/components/schemas/Check"}},
                    },
                },
            },
            "certificate": {"type": ["object", "null"], "description": "Numbers and names of people masked"},
            "record": {"type": ["object", "null"], "description": "What the record here says today of a file with these very octets"},
            "told": {"anyOf": [{"$ref": "#/components/schemas/ToldElsewhere"}, {"type": "null"}]},
        },
    },
    "ToldElsewhere": {
        "type": "object",
        "description": "What another instance told of the certificate in the file; it changes nothing of the verdict on the signatures",
        "required": ["peer", "identifier", "type", "type_name", "issuer", "status", "told_status", "as_of", "stale", "same_file", "words"],
        "properties": {
            "peer": {"type": "object", "properties": {"name": {"type": "string"}, "organisation": {"type": "string"}}},
            "identifier": {"type": "string"},
            "type": {"type": "string"},
            "type_name": {"type": "string"},
            "issuer": {"type": "object", "properties": {"code": {"type": "string"}, "name": {"type": "string"}}},
            "status": {"type": "string", "description": "What may be said today; `unknown` where the knowledge is stale"},
            "told_status": {"type": "string", "description": "What follows today from what was told"},
            "as_of": {"type": "string", "format": "date-time"},
            "stale": {"type": "boolean", "description": "Older than 24 hours"},
            "same_file": {"type": "boolean", "description": "The file is the very one that the instance named"},
            "words": {"type": "object", "properties": {"zh": {"type": "string"}, "en": {"type": "string"}}},
        },
    },
}
VERIFY_FILE: dict[str, Any] = {
    "tags": ["verification"],
    "summary": "Judge a file",
    "description": "The file as the body, or as multipart `file`; up to 200 MB. Open to anyone.",
    "security": [],
    "requestBody": {
        "required": True,
        "content": {
            "application/pdf": {"schema": {"type": "string", "format": "binary"}},
            "multipart/form-data": {
                "schema": {"type": "object", "required": ["file"], "properties": {"file": {"type": "string", "format": "binary"}}}
            },
        },
    },
    "responses": {
        "200": {
            "description": "The verdict, whatever it is",
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Verdict"}}},
        },
        "413": PROBLEM,
        "429": PROBLEM,
    },
}


_FIGURE = {"type": ["integer", "null"], "description": "Rounded down to tens; null: between one and nine"}
STATISTICS: dict[str, Any] = {
    "tags": ["verification"],
    "summary": "How many certificates of each type there are",
    "description": "Without personal data: every figure is rounded down to tens. Counted at most every ten minutes. Open to anyone.",
    "security": [],
    "responses": {
        "200": {
            "description": "The most frequent type first",
            "content": {
                "application/json": {
                    "schema": {
                        "type": "object",
                        "properties": {
                            "counted_at": {"type": "string", "format": "date-time"},
                            "grain": {"const": 10},
                            "types": {
                                "type": "array",
                                "items": {
                                    "type": "object",
                                    "properties": {"type": {"type": "string"}, "name": {"type": "string"}}
                                    | dict.fromkeys(("in_force", "suspended", "ended"), _FIGURE),
                                },
                            },
                        },
                    }
                }
            },
        }
    },
}


def document(app: FastAPI, base_url: str) -> dict[str, Any]:
    """The OpenAPI document, made once."""
    if app.openapi_schema is None:
        found = get_openapi(title=app.title, version=app.version, routes=app.routes, servers=[{"url": base_url}])
        components = found.setdefault("components", {})
        components.setdefault("schemas", {}).update(SCHEMAS)
        components["securitySchemes"] = {
            "openid": {"type": "openIdConnect", "openIdConnectUrl": f"{base_url}/.well-known/openid-configuration"}
        }
        found["security"] = [{"openid": []}]
        found["paths"] |= {"/api/v1/verify": {"post": VERIFY_FILE}, "/api/v1/statistics": {"get": STATISTICS}}
        _open(found["paths"])
        _problems_everywhere(found["paths"])
        app.openapi_schema = found
    return app.openapi_schema


def _open(paths: dict[str, Any]) -> None:
    """Nobody logs in to verify."""
    paths["/api/v1/verify/{code}"]["get"]["security"] = []


def _problems_everywhere(paths: dict[str, Any]) -> None:
    """FastAPI's own shape of a 422 is never sent; every refusal is a problem document."""
    for path in paths.values():
        for operation in path.values():
            operation["responses"].pop("422", None)
            operation["responses"]["4XX"] = PROBLEM
