"""Text that came from outside, made fit for an event."""


def one_line(text: object, most_characters: int) -> str:
    """``text`` as one line of at most ``most_characters`` (at least 1) that every queue carries; empty if it is blank.

    What is not printable (control characters, halves of a surrogate pair, what Unicode has not assigned) is a space.
    """
    printable = "".join(each if each.isprintable() else " " for each in str(text or ""))
    line = " ".join(printable.split())
    return line if len(line) <= most_characters else line[: most_characters - 1] + "…"
