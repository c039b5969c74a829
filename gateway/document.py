"""What our OpenAPI says of the routes that FastAPI does not see."""

from typing import Any

from domain.limits import BATCH_LIMIT, METADATA_BYTES, NUMBERS_LIMIT, TEXT_LIMIT
from gateway.evaluation import FLAG, FLAGS
from gateway.streams import PATH as CHANGES

Document = dict[str, Any]

TEXT = {"type": "string", "minLength": 1, "maxLength": TEXT_LIMIT}
PROBLEM = {
    "type": "object",
    "required": ["title", "status", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
    },
}
EVENT = {
    "type": "object",
    "required": ["version_id"],
    "additionalProperties": False,
    "properties": {
        "version_id": TEXT,
        "event_id": TEXT | {"description": "Idempotency key; made up when it is missing."},
        "user_id": TEXT,
        "experiment_id": TEXT,
        "success": {"type": "boolean", "default": True},
        "response_time": {"type": "number", "minimum": 0, "description": "Seconds."},
        "tokens": {"type": "integer", "minimum": 0, "maximum": 2**63 - 1},
        "user_rating": {"type": "number", "minimum": 1, "maximum": 5},
        "numbers": {
            "type": "object",
            "maxProperties": NUMBERS_LIMIT,
            "additionalProperties": {"type": "number", "minimum": -1e100, "maximum": 1e100},
        },
        "metadata": {"type": "object", "description": f"At most {METADATA_BYTES} bytes."},
        "occurred_at": {"type": "string", "format": "date-time"},
    },
}
EVENTS = {"type": "array", "items": {"$ref": "#/components/schemas/Event"}, "maxItems": BATCH_LIMIT}
LINES = {"type": "string", "description": "One event a line."}
TAKEN = {
    "type": "object",
    "required": ["accepted", "errors"],
    "properties": {
        "accepted": {"type": "integer", "minimum": 0},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["index", "event_id", "field", "message"],
                "properties": {
                    "index": {"type": "integer", "minimum": 0},
                    "event_id": {"type": ["string", "null"]},
                    "field": {"type": "string"},
                    "message": {"type": "string"},
                },
            },
        },
    },
}
EXPOSURES = {
    "type": "object",
    "required": ["exposures"],
    "additionalProperties": False,
    "properties": {
        "exposures": {
            "type": "array",
            "maxItems": BATCH_LIMIT,
            "items": {
                "type": "object",
                "required": ["experiment_id", "user_id", "version", "epoch"],
                "additionalProperties": False,
                "properties": {
                    "experiment_id": TEXT,
                    "user_id": TEXT,
                    "version": TEXT,
                    "epoch": {"type": "integer"},
                },
            },
        }
    },
}
ASKED = {
    "type": "object",
    "required": ["context"],
    "properties": {
        "context": {
            "type": "object",
            "required": ["targetingKey"],
            "properties": {"targetingKey": TEXT},
            "additionalProperties": True,
        }
    },
}
EVALUATED = {
    "type": "object",
    "required": ["key", "reason", "variant", "metadata"],
    "properties": {
        "key": {"type": "string"},
        "value": {"type": "string", "description": "The template; missing if there is none."},
        "reason": {"enum": ["SPLIT", "DEFAULT", "STALE"]},
        "variant": {"type": "string", "description": "The version's number."},
        "metadata": {"type": "object"},
    },
}
FAILED = {
    "type": "object",
    "required": ["errorCode", "errorDetails"],
    "properties": {
        "key": {"type": "string"},
        "errorCode": {"type": "string"},
        "errorDetails": {"type": "string"},
    },
}
ALL = {
    "type": "object",
    "required": ["flags"],
    "properties": {"flags": {"type": "array"}, "eventStreams": {"type": "array"}},
}
REFUSALS = {
    "400": "The body cannot be read.",
    "401": "There is no live token.",
    "403": "The token has not the role that is needed.",
    "405": "Another method is allowed.",
    "408": "The body did not come.",
    "413": "The body is too large.",
    "415": "The body is of another type.",
    "422": "What the body says cannot be.",
    "429": "Too much at once: see Retry-After.",
    "503": "Nothing that could take it can be reached: see Retry-After.",
}
OF_OPERATORS = {
    "404": "There is no such thing.",
    "409": "Its state forbids it, and the detail says why.",
}


def paths() -> Document:
    """Return the hot routes, as OpenAPI describes them."""
    flag = {"name": "key", "in": "path", "required": True, "schema": TEXT}
    etag = {"name": "If-None-Match", "in": "header", "schema": {"type": "string"}}
    return {
        "/v1/events": {
            "post": _operation(
                "Report what happened to users", "ingestion",
                body=_json({"oneOf": [_wrapped("events", EVENTS), EVENTS]})
                | {"application/x-ndjson": {"schema": LINES}},
                answers={"202": ("What is sound is durable.", TAKEN)}, failure=PROBLEM,
            )
        },
        "/v1/exposures": {
            "post": _operation(
                "Report who was given what", "ingestion", body=_json(EXPOSURES),
                answers={"202": ("Recorded.", {"type": "object"})}, failure=PROBLEM,
            )
        },
        FLAGS: {
            "post": _operation(
                "Evaluate all flags (OFREP)", "evaluation", body=_json(ASKED), parameters=[etag],
                answers={"200": ("All that serve.", ALL), "304": ("As before.", None)},
                failure=FAILED,
            )
        },
        f"{FLAG}{{key}}": {
            "post": _operation(
                "Evaluate a flag (OFREP)", "evaluation", body=_json(ASKED), parameters=[flag],
                answers={
                    "200": ("What the user is served.", EVALUATED),
                    "404": ("There is no such flag.", FAILED),
                },
                failure=FAILED,
            )
        },
    }  # fmt: skip


def complete(document: Document) -> Document:
    """Add what FastAPI does not know: the hot routes, who may pass, and how refusals look."""
    parts = document.setdefault("components", {})
    parts.setdefault("schemas", {}).update({"Event": EVENT, "Problem": PROBLEM})
    parts["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    document["security"] = [{"token": []}]
    for path, operations in document["paths"].items():
        for operation in operations.values():
            refusals = REFUSALS | (OF_OPERATORS if path.startswith("/v1/") else {})
            operation["responses"].update(_refusals(refusals, PROBLEM))
            if path in ("/healthz", "/readyz"):
                operation["security"] = []
            if path == CHANGES:
                operation["responses"]["200"]["content"] = {"text/event-stream": {}}
    document["paths"] = paths() | document["paths"]
    return document


def _operation(
    summary: str,
    tag: str,
    *,
    body: Document,
    answers: dict[str, tuple[str, Document | None]],
    failure: Document,
    parameters: list[Document] | None = None,
) -> Document:
    responses = {
        status: {"description": said} | ({"content": _json(schema)} if schema else {})
        for status, (said, schema) in answers.items()
    }
    return {
        "summary": summary,
        "tags": [tag],
        "parameters": parameters or [],
        "requestBody": {"required": True, "content": body},
        "responses": _refusals(REFUSALS, failure) | responses,
    }


def _refusals(said: dict[str, str], schema: Document) -> Document:
    kind = "application/problem+json" if schema is PROBLEM else "application/json"
    return {
        status: {"description": why, "content": {kind: {"schema": schema}}}
        for status, why in said.items()
    }


def _json(schema: Document) -> Document:
    return {"application/json": {"schema": schema}}


def _wrapped(name: str, schema: Document) -> Document:
    return {
        "type": "object",
        "required": [name],
        "additionalProperties": False,
        "properties": {name: schema},
    }
