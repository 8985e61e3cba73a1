"""The OpenAPI document, for tests that compare answers with it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from jsonschema import Draft202012Validator

from api.routes import OPENAPI

DOCUMENT = json.loads(OPENAPI.read_text())
VALIDATOR = Draft202012Validator(DOCUMENT, format_checker=Draft202012Validator.FORMAT_CHECKER)
GENERAL_ERRORS = {
    int(one) for one in re.findall(r"(\d{3}):", DOCUMENT["components"]["responses"]["Error"]["description"])
}
"""The statuses that every operation may answer."""


@dataclass(frozen=True, slots=True)
class Operation:
    method: str
    path: str
    content: dict[str, Any]

    @property
    def target(self) -> str:
        """The path with the examples of its parameters."""
        examples = {each["name"]: each["example"] for each in DOCUMENT["components"]["parameters"].values()}
        return self.path.format_map(examples)


OPERATIONS = [
    Operation(method.upper(), path, operation)
    for path, item in DOCUMENT["paths"].items()
    for method, operation in item.items()
    if method != "parameters"
]


def check_value(schema: str, value: Any) -> None:
    """Raises ``ValidationError`` unless ``value`` is as the schema of that name says."""
    VALIDATOR.evolve(schema={"$ref": f"#/components/schemas/{schema}"}).validate(value)
