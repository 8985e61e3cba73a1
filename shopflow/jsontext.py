"""JSON text in which numbers with a fraction are `Decimal`, both ways."""

import re
from decimal import InvalidOperation
from typing import Any

import simplejson

MAX_SHOWN_CHARS = 50
_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")


def loads(text: str | bytes) -> Any:
    """The value of a JSON text.

    Raises ``ValueError`` in words for the author of the text: it is not UTF-8, not JSON (NaN and Infinity are not),
    nested too deeply, names a field of an object twice (parsers differ about those), or has a number or half a
    surrogate pair that no store accepts.
    """
    try:
        decoded = text.decode() if isinstance(text, bytes) else text
    except UnicodeDecodeError:
        raise ValueError("it is not in UTF-8") from None
    try:
        value = simplejson.loads(decoded, use_decimal=True, allow_nan=False, object_pairs_hook=_object)
        if _SURROGATE_ESCAPE.search(decoded):
            simplejson.dumps(value, use_decimal=True, ensure_ascii=False).encode()
    except _RepeatedField:
        raise
    except simplejson.JSONDecodeError as error:
        raise ValueError(f"look at line {error.lineno}, column {error.colno}") from None
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except UnicodeEncodeError:
        raise ValueError("a text has half a surrogate pair") from None
    except (ValueError, InvalidOperation):  # those of int and Decimal
        raise ValueError("a number has too many digits") from None
    return value


def dumps(value: Any, indent: int | None = None) -> str:
    """The JSON text of ``value``. Raises ``TypeError`` or ``ValueError`` if it has none."""
    return str(simplejson.dumps(value, use_decimal=True, allow_nan=False, ensure_ascii=False, indent=indent))


class _RepeatedField(ValueError):
    pass


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        names = [name for name, _ in pairs]
        repeated = next(name for name in names if names.count(name) > 1)[:MAX_SHOWN_CHARS]
        raise _RepeatedField(f"the field {dumps(repeated.encode(errors='replace').decode())} is there twice")
    return fields
