"""The rules by which a reader understands all that a writer writes.

Each is a pure function of a writer's schema and a reader's. What it finds is a value that the one may write and the
other would refuse. A rule may find what can never happen (two patterns that mean the same), but never misses what can:
what no rule understands must not differ at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal

from scripts.contracts.schema import Schema, normal, refusal, same, text, validator
from scripts.contracts.written import NUMBER, Written, kinds_of


@dataclass(frozen=True, slots=True)
class Finding:
    """What a reader would refuse: where in the value, which rule says so, and what is written and read there."""

    path: str
    rule: str
    text: str


Rule = Callable[[Written, Schema, str], Iterator[Finding]]


def refused(written: Schema, read: Schema) -> list[Finding]:
    """What a reader with the schema ``read`` might refuse of a writer with ``written``; nothing: it refuses nothing."""
    return _refused(normal(written), normal(read), "")


def _refused(written: Schema, read: Schema, path: str) -> list[Finding]:
    writer = Written.of(written)
    if not writer.kinds or any(same(conjunct, read) for conjunct in (written, *writer.conjuncts)):
        return []
    if isinstance(read, bool):
        return [] if read else [Finding(path, "nothing", "is written, but nothing may be there")]
    if writer.values is not None:
        return list(listed_values(writer, read, path))
    branches = writer.branches()
    if branches is not None:
        return _each_once(finding for branch in branches for finding in _refused(branch, read, path))
    return _each_once(finding for rule in RULES for finding in rule(writer, read, path))


def listed_values(writer: Written, read: Schema, path: str) -> Iterator[Finding]:
    """Every value that the writer lists (``enum``, ``const``) must be one that the reader takes."""
    checker = validator(read)
    for value in writer.values or []:
        if refusal(checker, value):
            yield Finding(path, "values", f"{text(value)} is written, but not read")


def unlisted_values(writer: Written, read: Schema, path: str) -> Iterator[Finding]:
    """A reader that lists its values refuses those of a writer that does not."""
    for keyword in read.keys() & {"enum", "const"}:
        yield Finding(path, "values", f"any {_any_of(writer.kinds)} is written, but only {text(read[keyword])} is read")


def types(writer: Written, read: Schema, path: str) -> Iterator[Finding]:
    """Every type that is written must be one that is read. An integer is a number."""
    lost = writer.kinds - kinds_of(read)
    if lost:
        yield Finding(path, "type", f"{_any_of(lost)} is written, but only {text(read['type'])} is read")


def bounds(writer: Written, read: Schema, path: str) -> Iterator[Finding]:
    """Every bound of the reader must be kept by the writer's bounds: of numbers, texts, lists and objects."""
    for keyword in read.keys() & BOUNDS.keys():
        kinds, sign, exclusive = BOUNDS[keyword]
        kept = [
            (sign * value, other_exclusive)
            for other, (other_kinds, other_sign, other_exclusive) in BOUNDS.items()
            if (other_kinds, other_sign) == (kinds, sign)
            for value in writer.every(other)
        ]
        if sign > 0 and kinds is not NUMBER:
            kept.append((0, False))
        if writer.kinds & kinds and not any(bound >= (sign * read[keyword], exclusive) for bound in kept):
            yield Finding(path, "bounds", f"written with {_own(writer, keyword)}, {_read(read, keyword)}")


def multiples(writer: Written, read: Schema, path: str) -> Iterator[Finding]:
    """Whatever is a multiple of the writer's number must be one of the reader's."""
    if "multipleOf" in read and writer.kinds & NUMBER:
        steps = writer.every("multipleOf") + ([1] if "fraction" not in writer.kinds else [])
        if not any(Decimal(str(step)) % Decimal(str(read["multipleOf"])) == 0 for step in steps):
            yield Finding(path, "bounds", f"written in other steps, {_read(read, 'multipleOf')}")


def patterns(writer: Written, read: Schema, path: str) -> Iterator[Finding]:
    """The reader's pattern must be the writer's too: what two patterns have in common, no rule tells."""
    if "pattern" in read and "string" in writer.kinds and read["pattern"] not in writer.every("pattern"):
        yield Finding(path, "pattern", f"written with {_own(writer, 'pattern')}, {_read(read, 'pattern')}")


def formats(writer: Written, read: Schema, path: str) -> Iterator[Finding]:
    """The reader's format must be the writer's too."""
    if "format" in read and "string" in writer.kinds and read["format"] not in writer.every("format"):
        yield Finding(path, "format", f"written with {_own(writer, 'format')}, {_read(read, 'format')}")


def required_fields(writer: Written, read: Schema, path: str) -> Iterator[Finding]:
    """Every field that the reader requires must be one that the writer always writes."""
    for name in set(read.get("required", [])) - writer.required if "object" in writer.kinds else ():
        yield Finding(f"{path}.{name}", "required", "is not always written, but the reader requires it")


def known_fields(writer: Written, read: Schema, path: str) -> Iterator[Finding]:
    """What is written in a field that the reader knows must be what it reads there."""
    for name, schema in read.get("properties", {}).items():
        if "object" in writer.kinds and (written := writer.field(name)) is not False:
            yield from _refused(written, schema, f"{path}.{name}")


def unknown_fields(writer: Written, read: Schema, path: str) -> Iterator[Finding]:
    """What is written in fields that the reader does not know must be what it allows there."""
    others = read.get("additionalProperties", True)
    if "object" not in writer.kinds or others is True:
        return
    for name, written in writer.fields.items():
        if name not in read.get("properties", {}):
            if others is False:
                yield Finding(f"{path}.{name}", "fields", "is written, but unknown to the reader, who refuses it")
            else:
                yield from _refused(written, others, f"{path}.{name}")
    if writer.unnamed_field is not False:
        yield from _refused(writer.unnamed_field, others, f"{path}.*")


def items(writer: Written, read: Schema, path: str) -> Iterator[Finding]:
    """Every item that is written must be one that the reader takes."""
    if "items" in read and "array" in writer.kinds and 0 not in writer.every("maxItems"):
        yield from _refused(writer.item, read["items"], f"{path}[]")


def unique_items(writer: Written, read: Schema, path: str) -> Iterator[Finding]:
    """A reader that wants no item twice must be given none twice."""
    if read.get("uniqueItems") and "array" in writer.kinds and True not in writer.every("uniqueItems"):
        yield Finding(path, "bounds", f"an item may be written twice, {_read(read, 'uniqueItems')}")


def alternatives(writer: Written, read: Schema, path: str) -> Iterator[Finding]:
    """Of each type, all that is written must fit one and the same of the reader's alternatives, and each demand."""
    options = read.get("anyOf", [True])
    for written in writer.by_type:
        if all(_refused(written, option, path) for option in options):
            yield Finding(path, "alternatives", "what is written fits none of the alternatives that are read")
    for demand in read.get("allOf", []):
        yield from _refused(writer.schema, demand, path)


def forbidden(writer: Written, read: Schema, path: str) -> Iterator[Finding]:
    """What the reader forbids (``not``), the writer must forbid too, that or more."""
    if "not" in read and all(_refused(read["not"], other, path) for other in writer.every("not")):
        yield Finding(path, "forbidden", f"what {text(read['not'])} forbids may be written, but is not read")


def unknown_keywords(_writer: Written, read: Schema, path: str) -> Iterator[Finding]:
    """What no rule here understands must not differ."""
    for keyword in sorted(read.keys() - UNDERSTOOD):
        yield Finding(path, "keyword", f"{keyword} is understood by no rule, so nothing beside it may change")


BOUNDS: dict[str, tuple[frozenset[str], int, bool]] = {
    "minimum": (NUMBER, 1, False),
    "exclusiveMinimum": (NUMBER, 1, True),
    "maximum": (NUMBER, -1, False),
    "exclusiveMaximum": (NUMBER, -1, True),
    "minLength": (frozenset({"string"}), 1, False),
    "maxLength": (frozenset({"string"}), -1, False),
    "minItems": (frozenset({"array"}), 1, False),
    "maxItems": (frozenset({"array"}), -1, False),
    "minProperties": (frozenset({"object"}), 1, False),
    "maxProperties": (frozenset({"object"}), -1, False),
}
"""Of which kinds each is a bound, whether of the least (1) or the most (-1), and whether it is itself out of bounds."""

RULES: tuple[Rule, ...] = (
    unlisted_values,
    types,
    bounds,
    multiples,
    patterns,
    formats,
    required_fields,
    known_fields,
    unknown_fields,
    items,
    unique_items,
    alternatives,
    forbidden,
    unknown_keywords,
)

UNDERSTOOD = BOUNDS.keys() | {
    "type",
    "enum",
    "const",
    "multipleOf",
    "pattern",
    "format",
    "required",
    "properties",
    "additionalProperties",
    "items",
    "uniqueItems",
    "anyOf",
    "allOf",
    "not",
}


def _read(read: Schema, keyword: str) -> str:
    return f"read with {keyword} {text(read[keyword])}"


def _own(writer: Written, keyword: str) -> str:
    return " and ".join(f"{keyword} {text(value)}" for value in writer.every(keyword)) or f"no {keyword}"


def _any_of(kinds: Iterable[str]) -> str:
    return " or ".join(sorted(kinds))


def _each_once(findings: Iterable[Finding]) -> list[Finding]:
    return list(dict.fromkeys(findings))
