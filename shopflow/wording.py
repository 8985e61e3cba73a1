"""What is wrong with a value, in words for who sent it: those of JSON, never Python's."""

from __future__ import annotations

from typing import Any, cast

from jsonschema.exceptions import ValidationError

from shopflow import jsontext

MAX_SHOWN_CHARS = 50
"""Of a text that the sender chose."""
_TYPES = {
    "object": "an object",
    "array": "an array",
    "string": "a string",
    "integer": "an integer",
    "number": "a number",
    "boolean": "true or false",
    "null": "null",
}
_BOUNDS = {
    "minimum": "must be at least {}",
    "maximum": "must be at most {}",
    "exclusiveMinimum": "must be more than {}",
    "exclusiveMaximum": "must be less than {}",
    "multipleOf": "must be a multiple of {}",
    "minLength": "must have at least {} characters",
    "maxLength": "must have at most {} characters",
    "minItems": "must have at least {} entries",
    "maxItems": "must have at most {} entries",
    "minProperties": "must have at least {} fields",
    "maxProperties": "must have at most {} fields",
    "const": "must be {}",
    "format": "must have the form {}",
}


def in_words(error: ValidationError) -> str:
    """How ``error.instance`` breaks its schema. A pattern tells nobody anything: there its description does."""
    rule, wanted, value = str(error.validator), cast("Any", error.validator_value), cast("Any", error.instance)
    schema = error.schema if isinstance(error.schema, dict) else {}
    if rule in ("pattern", "not", "format", "multipleOf", "anyOf") and "description" in schema:
        return f"must be {schema['description']}"
    match rule:
        case "type":
            types = [wanted] if isinstance(wanted, str) else wanted
            return f"must be {' or '.join(_TYPES[name] for name in types)}"
        case "enum":
            return f"must be one of {', '.join(map(jsontext.dumps, wanted))}"
        case "required":
            return f"{next(name for name in wanted if name not in value)} is missing"
        case "additionalProperties" if wanted is False:
            unknown = next(name for name in value if name not in schema.get("properties", {}))
            return f"{_shown(unknown)} is not a known field"
        case "minItems" | "minLength" | "minProperties" if wanted == 1:
            return "must not be empty"
        case "uniqueItems":
            return "must not have the same entry twice"
    return _BOUNDS.get(rule, "is not what it may be").format(jsontext.dumps(wanted))


def _shown(text: str) -> str:
    return jsontext.dumps(text if len(text) <= MAX_SHOWN_CHARS else text[:MAX_SHOWN_CHARS] + "…")
