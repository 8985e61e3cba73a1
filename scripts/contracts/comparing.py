"""The verdict on each contract: may what it is now follow what it was?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from scripts.contracts.examples import NoExamples, refused_example
from scripts.contracts.release import Contract, Release, Version
from scripts.contracts.rules import Finding, refused
from scripts.contracts.schema import Schema, opened, same
from shopflow.errors import ConfigError

AUDIT_TRAIL = "replay of the audit trail"
CLIENTS = "clients that are in use"


@dataclass(frozen=True, slots=True)
class Direction:
    """Who reads what was written under another version of a contract: ``doing`` says it in words."""

    readers: tuple[str, ...]
    doing: str
    written: Schema
    read: Schema


@dataclass(frozen=True, slots=True)
class Break:
    """Readers that would refuse messages. ``findings``: what the rules say.

    ``example``: if they say nothing, what is wrong with a message that was made and refused all the same.
    """

    readers: tuple[str, ...]
    doing: str
    findings: tuple[Finding, ...] = ()
    example: str | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """``refusal``: why the change may not be made, and what to do; None when it may. ``note``: what it is."""

    name: str
    note: str
    refusal: str | None = None
    breaks: tuple[Break, ...] = field(default=())


def compare(before: Release, now: Release, show: Callable[[str], None]) -> list[Verdict]:
    """A verdict on every contract of either. ``show`` is told the name of each that takes a while."""
    return [_verdict(name, before.get(name), now.get(name), show) for name in dict.fromkeys([*now, *before])]


def breaks(before: Contract, now: Contract) -> list[Break]:
    """In which directions a new minor version that looks like ``now`` would break readers.

    Rules first; examples, which take seconds, are made only of a change that passes them.
    """
    directions = list(_directions(before, now))
    by_rules = [Break(one.readers, one.doing, tuple(refused(one.written, one.read))) for one in directions]
    found = [one for one in by_rules if one.findings]
    return found or [one for one in map(_tried, directions) if one.example]


def _verdict(name: str, before: Contract | None, now: Contract | None, show: Callable[[str], None]) -> Verdict:
    if before is None or now is None:
        return _come_or_gone(name, before, now)
    changed = not same(before.schema, now.schema) or before.status != now.status
    versions = str(now.version) if before.version == now.version else f"{before.version} → {now.version}"
    if now.version < before.version:
        return Verdict(name, versions, f"a version never goes back: make it {before.version} or later")
    if now.version.major > before.version.major:
        return Verdict(name, f"{versions}: a new major version. {_duty(before, now)}")
    if not changed:
        return Verdict(name, f"{versions}, unchanged")
    show(name)
    found = tuple(breaks(before, now))
    if found or before.status != now.status:
        what = "incompatible" if found else f"means the status {now.status}, no longer {before.status}"
        return Verdict(name, f"{versions}: {what}", _keep_or(before.version.next_major, before), found)
    if now.version == before.version:
        return Verdict(name, f"{versions}: changed", f"compatible, but {_raise(now, now.version.next_minor)}")
    return Verdict(name, f"{versions}: compatible")


def _come_or_gone(name: str, before: Contract | None, now: Contract | None) -> Verdict:
    if now:
        return Verdict(name, f"{now.version}: new")
    assert before is not None  # noqa: S101 - one of the two is there
    lost = Break((*before.readers, AUDIT_TRAIL), "reading what was published")
    return Verdict(name, "removed", "keep it: the audit trail holds such events for ever", (lost,))


def _directions(before: Contract, now: Contract) -> Iterator[Direction]:
    """The new read what the old have written, from queues and from the audit trail; and the old what the new write."""
    if now.is_request:
        yield Direction((CLIENTS,), "old requests to the new code", before.schema, now.schema)
        return
    yield Direction((*now.readers, AUDIT_TRAIL), "new code reading old events", before.schema, now.schema)
    yield Direction(before.readers, "old code reading new events", now.schema, opened(before.schema))


def _tried(one: Direction) -> Break:
    try:
        return Break(one.readers, one.doing, example=refused_example(one.written, one.read))
    except NoExamples as error:
        raise ConfigError(f"No example could be made of a schema that changed, so it is not checked: {error}") from None


def _keep_or(major: Version, contract: Contract) -> str:
    return (
        f"keep what {contract.version} promises (new fields may come, as optional ones), or {_raise(contract, major)}"
    )


def _raise(contract: Contract, version: Version) -> str:
    where = "info.version in api/openapi.json" if contract.is_request else "its version in schemas/catalog.json"
    return f"raise {where} to {version}"


def _duty(before: Contract, now: Contract) -> str:
    if now.is_request:
        return "Clients that are in use must follow."
    readers = ", ".join(dict.fromkeys([*before.readers, *now.readers])) or "nobody"
    return (
        f"Read by {readers}: they refuse the other major version, so deploy them with the producer once the queues are "
        f"empty; {AUDIT_TRAIL} still holds {before.version}."
    )
