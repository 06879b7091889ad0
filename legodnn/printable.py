"""What may be written to a terminal: names come from stores, profiles and file systems, and it obeys escapes."""

from __future__ import annotations

# C0 but for tab and newline, DEL, C1, and what turns the direction of text; lone surrogates cannot be written at all.
_CODES = [*range(9), *range(11, 32), *range(127, 160), 0x2028, 0x2029, *range(0x202A, 0x202F), *range(0x2066, 0x206A)]
_ESCAPES = {code: f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" for code in _CODES}
_ESCAPES |= {code: f"\\u{code:04x}" for code in range(0xD800, 0xE000)}


def printable(text: str) -> str:
    """The text with control characters as escapes; tabs and newlines stay."""
    return text.translate(_ESCAPES)
