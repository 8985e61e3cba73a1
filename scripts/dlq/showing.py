"""What the dead-letter tool shows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from rich.box import SIMPLE
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from shopflow import jsontext
from workers.dead_letters import Judged, Survey
from workers.dry_run import Kind

MAX_BODY_CHARS = 4000
_MINUTE, _HOUR, _DAY = 60, 3600, 86_400

_MEANING: Mapping[Kind, str] = {
    Kind.BREACH: "No redrive will help: mend the producer or the order it speaks of, or purge it.",
    Kind.FAILS: "The service would fail on it again: mend that first, then redrive.",
    Kind.UNKNOWN: "Whether it would be processed cannot be told now.",
    Kind.READY: "Nothing stands in its way now. Why it failed then, only the service's log can tell. Redrive it.",
    Kind.DONE: "A redrive would change nothing, and neither would a purge.",
}


def age(seconds: float) -> str:
    """A length of time in its two largest units, such as ``2 h 5 min``."""
    whole = max(0, int(seconds))
    units = ((_DAY, "d"), (_HOUR, "h"), (_MINUTE, "min"), (1, "s"))
    parts = []
    for size, unit in units:
        count, whole = divmod(whole, size)
        parts.append((count, unit))
    first = next((number for number, (count, _) in enumerate(parts) if count), len(parts) - 1)
    shown = [f"{count} {unit}" for count, unit in parts[first : first + 2] if count]
    return " ".join(shown) or "0 s"


def reasons(survey: Survey) -> Iterator[str]:
    """A line for each reason, with how many have it."""
    width = max((len(f"{group.count:,}") for group in survey.groups), default=0)
    return (f"  {group.count:>{width},}  {printable(group.reason)}" for group in survey.groups)


def unseen(looked_at: int, depth: int) -> Iterator[str]:
    """A line that says how many were not looked at, if any."""
    if looked_at < depth:
        why = "another look at them goes on, or they are too many"
        yield f"{depth - looked_at:,} of about {depth:,} were not looked at: {why}."


def list_table(queues: Mapping[str, tuple[Survey, int]], now_ms: int) -> Table:
    """One row for each reason. ``queues``: what was found and how many there are, by service."""
    table = Table(box=SIMPLE, padding=(0, 1, 0, 0))
    for name in ("service", "dead letters", "oldest", "count", "would be redriven", "because"):
        numeric = name in ("dead letters", "oldest", "count")
        table.add_column(name, justify="right" if numeric else "left", overflow="fold")
    for service, (survey, depth) in queues.items():
        rows = [
            (
                age((now_ms - group.oldest) / 1000),
                f"{group.count:,}",
                "yes" if group.kind.would_succeed else "no",
                escape(printable(group.reason)),
            )
            for group in survey.groups
        ]
        if survey.looked_at < depth:
            rows.append(("", f"{depth - survey.looked_at:,}", "", "not looked at: in flight, so another look goes on"))
        first = [service, f"[red]{depth:,}[/]" if depth else "0"]
        for row in rows or [("", "", "", "")]:
            table.add_row(*first, *row)
            first = ["", ""]
    return table


def show_letters(judged: Sequence[Judged], now_ms: int, console: Console, *, whole: bool) -> None:
    """Each dead letter, why it is there, and what to do."""
    for number, one in enumerate(judged, start=1):
        message = one.letter.message
        since = age((now_ms - one.letter.sent_at) / 1000)
        console.rule(f"{number} of {len(judged)}: {message.message_id}", align="left", characters="─")
        console.print(f"sent {since} ago, received {message.receive_count} times", markup=False)
        colour = "green" if one.kind.would_succeed else "red"
        console.print(printable(one.explanation), style=colour, markup=False, soft_wrap=True)
        console.print(_MEANING[one.kind], markup=False)
        console.print(body_text(message.body, whole=whole), markup=False, soft_wrap=True)


def body_text(body: str, *, whole: bool) -> str:
    """The message, indented if it is JSON and cut short unless the ``whole`` is wanted. Safe for a terminal."""
    try:
        text = jsontext.dumps(jsontext.loads(body), indent=2)
    except (ValueError, RecursionError):
        text = body
    if not whole and len(text) > MAX_BODY_CHARS:
        text = f"{text[:MAX_BODY_CHARS]}\n… {len(text) - MAX_BODY_CHARS} more characters: --whole shows them"
    return printable(text)


def printable(text: str) -> str:
    """``text`` without what would command a terminal."""
    return "".join(_visible(text))


def _visible(text: str) -> Iterator[str]:
    for character in text:
        yield character if character.isprintable() or character == "\n" else "\N{REPLACEMENT CHARACTER}"
