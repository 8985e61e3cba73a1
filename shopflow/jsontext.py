"""JSON text in which numbers with a fraction are `Decimal`, both ways."""

import re
from typing import Any

import simplejson

_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")


def loads(text: str | bytes) -> Any:
    """The value of a JSON text.

    Raises ``ValueError`` for anything that is not JSON (NaN and Infinity are not), that is nested deeper than the
    parser goes, or that holds half a surrogate pair, which no store can encode.
    """
    try:
        decoded = text.decode() if isinstance(text, bytes) else text
        value = simplejson.loads(decoded, use_decimal=True, allow_nan=False)
        if _SURROGATE_ESCAPE.search(decoded):
            simplejson.dumps(value, use_decimal=True, ensure_ascii=False).encode()
    except RecursionError:
        raise ValueError("nested too deeply") from None
    return value


def dumps(value: Any, indent: int | None = None) -> str:
    """The JSON text of ``value``. Raises ``TypeError`` or ``ValueError`` when there is none."""
    return str(simplejson.dumps(value, use_decimal=True, allow_nan=False, ensure_ascii=False, indent=indent))
