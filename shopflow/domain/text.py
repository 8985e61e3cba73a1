"""Text from outside: which characters a queue takes, whether a person can see anything, and one line of it."""

import re

_UNSENDABLE = re.compile(r"[^\t\n\r\x20-\uD7FF\uE000-\uFFFD\U00010000-\U0010FFFF]")
"""What SQS refuses (API reference, SendMessage)."""

_NONCHARACTERS = "".join(rf"\U{plane:04X}FFFE\U{plane:04X}FFFF" for plane in range(17))
_VISIBLE = re.compile(
    r"[^\s\x00-\x1F\x7F-\x9F\uD800-\uDFFF\uFDD0-\uFDEF"
    + _NONCHARACTERS
    # Unicode's property Default_Ignorable_Code_Point (DerivedCoreProperties.txt)
    + r"\u00AD\u034F\u061C\u115F\u1160\u17B4\u17B5\u180B-\u180F\u200B-\u200F\u202A-\u202E\u2060-\u206F\u3164"
    r"\uFE00-\uFE0F\uFEFF\uFFA0\uFFF0-\uFFF8\U0001BCA0-\U0001BCA3\U0001D173-\U0001D17A\U000E0000-\U000E0FFF"
    # also drawn as nothing: annotation marks, an empty braille cell, fillers, format controls, a note head
    r"\uFFF9-\uFFFB\u2800\U00013430-\U0001343F\U00016FE4\U0001D159]"
)


def unsendable(text: str) -> str | None:
    """The first character of ``text`` that SQS refuses, in words; None when the text can be sent."""
    found = _UNSENDABLE.search(text)
    return f"the character U+{ord(found[0]):04X}, which no queue takes" if found else None


def flaw(text: str) -> str | None:
    """Why ``text`` is refused, as the end of a sentence that starts with its field; None when it is accepted."""
    if found := unsendable(text):
        return f"must not have {found}"
    return None if _VISIBLE.search(text) else "must have something visible in it"


def one_line(text: object, most_characters: int) -> str:
    """``text`` as one line of at most ``most_characters`` (at least 1) that every queue accepts; empty if it is blank.

    A character that is not printable (a control character, half a surrogate pair, an unassigned one) becomes a space.
    """
    printable = "".join(each if each.isprintable() else " " for each in str(text or ""))
    line = " ".join(printable.split())
    return line if len(line) <= most_characters else line[: most_characters - 1] + "…"
