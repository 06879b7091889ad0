"""What may be written to a terminal: names come from stores, profiles and file systems, and it obeys escapes."""

from __future__ import annotations


def printable(text: str) -> str:
    """The text with what is not printable as escapes: control characters, turns of direction, half characters.

    Tabs and newlines stay.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode() for c in text)


def shown(value: object) -> str:
    """A value as messages show it: in one line of at most 60 characters."""
    try:
        return f"{' '.join(repr(value).split()):.60}"
    except ValueError:  # Python writes no integer of more than 4,300 digits
        return "a longer number" if isinstance(value, int) else type(value).__name__
