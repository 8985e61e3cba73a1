"""The OpenAPI document of the API: ``openapi.json``, made complete and self-contained.

The file says only once what holds for all operations, refers to the contracts in ``schemas/``, and names limits instead
of numbers (``$MAX_REDRIVEN``). This module copies the common parts to every operation, adds HEAD and OPTIONS, and
inserts the contracts and the numbers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urljoin

from api import http_message, placing, recent, streams
from api.ops import letters, session, state
from api.ops import routes as ops_routes
from shopflow import jsontext
from shopflow.catalog import SCHEMAS
from workers.dead_letters import MAX_REASONS
from workers.dry_run import Kind

SOURCE = Path(__file__).with_name("openapi.json")
SOURCE_URI = "https://shopflow.example/api/openapi.json"
"""The address of ``openapi.json`` relative to the ``$id`` of the contracts."""

KIB = 1024
LIMITS: Mapping[str, int] = {
    "BODY_KIB": http_message.MAX_BODY_BYTES // KIB,
    "FRAMING_KIB": http_message.MAX_FRAMING_BYTES // KIB,
    "LINE_KIB": http_message.MAX_REQUEST_LINE_BYTES // KIB,
    "HEADERS_KIB": http_message.MAX_HEADER_BYTES // KIB,
    "MAX_HEADERS": http_message.MAX_HEADERS,
    "MAX_QUANTITY": placing.MAX_QUANTITY,
    "STREAM_MINUTES": streams.OrderStream.limit_ms // 60_000,
    "FLOW_MINUTES": streams.FlowStream.limit_ms // 60_000,
    "SESSION_SECONDS": session.SESSION_SECONDS,
    "SESSION_HOURS": session.SESSION_SECONDS // 3600,
    "MAX_TOKEN_CHARACTERS": ops_routes.MAX_TOKEN_CHARACTERS,
    "MAX_ID_CHARACTERS": letters.MAX_ID_CHARACTERS,
    "MAX_REDRIVEN": letters.MAX_REDRIVEN,
    "LOOK_SECONDS": letters.LOOK_SECONDS,
    "MAX_LETTERS": letters.MAX_SHOWN,
    "MAX_GROUPS": MAX_REASONS + len(Kind),
    "MAX_LETTER_CHARACTERS": letters.MAX_BODY_CHARACTERS,
    "WINDOW_MINUTES": state.WINDOW_MINUTES,
    "MAX_REMEMBERED": recent.MAX_RECENT,
    "MAX_OPEN_ORDERS": state.MAX_SHOWN,
    "MAX_ORDERS_READ": state.MAX_READ,
}
"""The numbers in the document, each taken from the code that enforces it."""
_LIMIT = re.compile(r"\$([A-Z_]+)")

Json = dict[str, Any]


def load_document(source: Path = SOURCE, schemas: Path = SCHEMAS) -> Json:
    """The document that ``GET /openapi.json`` answers: OpenAPI 3.1, with no reference to another file."""
    contracts = [jsontext.loads(file.read_text()) for file in sorted(schemas.rglob("*.schema.json"))]
    names = {contract["$id"]: _name(contract) for contract in contracts}
    places = {SOURCE_URI: "#"} | {uri: f"#/components/schemas/{name}" for uri, name in names.items()}
    document: Json = _moved(_limited(jsontext.loads(source.read_text())), SOURCE_URI, places)
    document["components"]["schemas"] |= {
        names[contract["$id"]]: _moved(contract, contract["$id"], places) for contract in contracts
    }
    return _spread(document)


def _name(contract: Json) -> str:
    return PurePosixPath(contract["$id"]).name.removesuffix(".schema.json")


def _limited(value: Any) -> Any:
    """``value`` with each limit's number in place of its name."""
    if isinstance(value, dict):
        return {key: _limited(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_limited(item) for item in value]
    if not isinstance(value, str):
        return value
    alone = _LIMIT.fullmatch(value)
    return LIMITS[alone[1]] if alone else _LIMIT.sub(lambda name: str(LIMITS[name[1]]), value)


def _moved(value: Any, uri: str, places: Mapping[str, str]) -> Any:
    """``value`` from the file at ``uri``, with each reference changed to its target's place in the document."""
    if isinstance(value, list):
        return [_moved(item, uri, places) for item in value]
    if not isinstance(value, dict):
        return value
    moved = {key: _moved(item, uri, places) for key, item in value.items() if key not in ("$id", "$schema")}
    if "$ref" in moved:
        target, _, pointer = urljoin(uri, moved["$ref"]).partition("#")
        moved["$ref"] = places[target] + pointer
    return moved


def _spread(document: Json) -> Json:
    """``document`` with its ``x-`` entries, which hold everywhere, copied to every operation."""
    plain = {key: value for key, value in document.items() if not key.startswith("x-")}
    common = document["x-every-operation"]["responses"]
    headers = document["x-every-response"]["headers"]
    responses = {name: _with(headers, response) for name, response in document["components"]["responses"].items()}
    paths = {}
    for path, item in document["paths"].items():
        operations = {method: _answering(value, common, headers) for method, value in _operations(item).items()}
        if "get" in operations:
            operations["head"] = _head(operations["get"], responses)
        name = next(iter(operations.values()))["operationId"]
        operations["options"] = {"operationId": f"{name}Options", **_answering(document["x-options"], common, headers)}
        paths[path] = item | operations
    return plain | {"paths": paths, "components": document["components"] | {"responses": responses}}


def _operations(item: Json) -> Json:
    return {method: value for method, value in item.items() if method != "parameters"}


def _answering(operation: Json, common: Json, headers: Json) -> Json:
    own = {status: _with(headers, response) for status, response in operation["responses"].items()}
    return operation | {"responses": dict(sorted((common | own).items()))}


def _with(headers: Json, response: Json) -> Json:
    return response if "$ref" in response else response | {"headers": headers | response.get("headers", {})}


def _head(get: Json, responses: Json) -> Json:
    """The GET operation without the bodies of its responses."""
    whole = {
        status: responses[_last(value)] if "$ref" in value else value for status, value in get["responses"].items()
    }
    bodiless = {
        status: {key: value for key, value in response.items() if key not in ("content", "links")}
        for status, response in whole.items()
    }
    return get | {"operationId": f"{get['operationId']}Head", "responses": bodiless}


def _last(reference: Json) -> str:
    return str(reference["$ref"]).rpartition("/")[2]
