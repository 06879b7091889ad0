"""Making text safe to print: names come from stores, profiles and file systems, and terminals obey escape sequences."""

from __future__ import annotations


def printable(text: str) -> str:
    """Return the text with everything unprintable as visible escapes; tabs and newlines stay.

    Unprintable are control characters, marks that change the direction of writing, and lone surrogates.

    Example:
        >>> print(printable("\\x1b[31mred"))
        \\x1b[31mred
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode() for c in text)


def option_label(name: str) -> str:
    """Return an option's name as tables show it: of pruned ones, `s0.5-int8` and the like, without the s.

    Example:
        >>> option_label("s0.5-int8"), option_label("small")
        ('0.5-int8', 'small')
    """
    return name[1:] if name[:1] == "s" and name[1:2].isdigit() else name


def shown(value: object) -> str:
    """Return a value as error messages show it: in one line of at most 60 characters."""
    try:
        return f"{' '.join(repr(value).split()):.60}"
    except ValueError:  # Python refuses to print an integer of more than 4,300 digits
        return "a longer number" if isinstance(value, int) else type(value).__name__
