"""One order, one trace: the W3C Trace Context of the work that brought an event about, handed on from hop to hop.

It travels beside the event as the message attribute ``traceparent``, and is kept in the outbox, so an event that the
relay publishes belongs to the trace that a crash interrupted. Nothing here needs OpenTelemetry: without it the context
is handed on as it came, so that a client's trace does not end here (https://www.w3.org/TR/trace-context/).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

TRACE_PARENT = "traceparent"

_KNOWN_VERSION = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}", re.ASCII)


class Span(Protocol):
    """A piece of work under way."""

    @property
    def trace_parent(self) -> str | None:
        """What the work that this one brings about has as its parent."""
        ...

    def end(self, error: Exception | None = None) -> None:
        """The work is done, or has failed with ``error``. To be called once."""
        ...


class Tracing(Protocol):
    def request(self, name: str, trace_parent: str | None) -> Span:
        """Begin to answer a client's request."""
        ...

    def processing(self, name: str, trace_parent: str | None, attributes: Mapping[str, str]) -> Span:
        """Begin to process a message."""
        ...

    def close(self) -> None:
        """Send what is recorded and not sent yet."""
        ...


@dataclass(frozen=True, slots=True)
class Unrecorded:
    """A `Span` that nobody records: what came is handed on."""

    trace_parent: str | None

    def end(self, error: Exception | None = None) -> None:
        """Nothing to do."""


class NoTracing:
    """`Tracing` for nobody."""

    def close(self) -> None:
        """Nothing to do."""

    def request(self, name: str, trace_parent: str | None) -> Span:  # noqa: ARG002
        return Unrecorded(trace_parent)

    def processing(self, name: str, trace_parent: str | None, attributes: Mapping[str, str]) -> Span:  # noqa: ARG002
        return Unrecorded(trace_parent)


def well_formed(trace_parent: str | None) -> str | None:
    """``trace_parent`` if it is one; None for what no sender of ours makes, since it would be handed on for ever."""
    return trace_parent if trace_parent and _KNOWN_VERSION.fullmatch(trace_parent) else None
