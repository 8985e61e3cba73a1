"""What this package does with schemas: compare their meaning, open them, check values against them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match
from jsonschema.protocols import Validator

from shopflow import jsontext
from shopflow.contracts import WordyValidator

Schema = Any
"""A JSON Schema without any ``$ref``: an object, or true (anything) or false (nothing)."""

MAX_REFUSAL_CHARS = 200
OUT_OF_RANGE = "a number is out of range"
"""Of decimal arithmetic: beyond 28 digits nothing can tell whether it is a multiple of 0.01."""
ANNOTATIONS = frozenset(
    {"$schema", "$id", "$comment", "title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly"}
)
"""Keywords that tell people something and refuse no value (JSON Schema Validation 2020-12, section 9)."""
_BY_NAME = ("properties", "patternProperties", "dependentSchemas")
"""Keywords whose keys are names of fields, not keywords."""
_UNORDERED = ("required", "type", "enum")


def normal(schema: Schema) -> Schema:
    """The same demands in one spelling: two schemas whose normal forms have the same `text` mean the same."""
    return _mapped(schema, lambda key: key not in ANNOTATIONS)


def opened(schema: Schema) -> Schema:
    """The same schema, with no word against unknown fields: how a consumer reads an event of a newer minor version."""
    return _mapped(schema, lambda key: key != "additionalProperties")


def text(schema: Schema) -> str:
    return jsontext.dumps(schema)


def same(one: Schema, other: Schema) -> bool:
    """Whether two normal forms are equal, as JSON has it: true is not 1."""
    return text(one) == text(other)


def validator(schema: Schema) -> Validator:
    """Checks as a consumer does, formats too."""
    checker: Validator = WordyValidator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)
    return checker


def refusal(checker: Validator, value: Any) -> str | None:
    """What is most wrong with ``value``, as «path: message»; None when nothing is."""
    try:
        error = best_match(checker.iter_errors(value))
    except ArithmeticError:
        return OUT_OF_RANGE
    return f"{error.json_path.removeprefix('$.')}: {error.message}"[:MAX_REFUSAL_CHARS] if error else None


def _mapped(schema: Schema, keep: Callable[[str], bool]) -> Schema:
    if isinstance(schema, list):
        return [_mapped(item, keep) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {key: _value(key, schema[key], keep) for key in sorted(schema) if keep(key)}


def _value(keyword: str, value: Any, keep: Callable[[str], bool]) -> Any:
    if keyword in _UNORDERED and isinstance(value, list):
        return sorted(value, key=jsontext.dumps)
    if keyword == "enum" or keyword == "const":
        return value
    if keyword in _BY_NAME:
        return {name: _mapped(value[name], keep) for name in sorted(value)}
    return _mapped(value, keep)
