"""Text in which nothing hides."""

from __future__ import annotations

UNSEEN = dict.fromkeys(
    (
        *(*range(0x09), 0x0B, 0x0C, *range(0x0E, 0x20), *range(0x7F, 0xA0)),
        *(*range(0x202A, 0x202F), *range(0x2066, 0x206A)),
        *(*range(0xD800, 0xE000), 0xFFFE, 0xFFFF),
    ),
    "\N{REPLACEMENT CHARACTER}",
)
"""Control characters, those that turn the direction of text, and what XML and UTF-8 cannot hold."""


LONGEST_REASON = 500


def visible(text: str) -> str:
    """Return text with a sign in the place of each character that nobody sees."""
    return text.translate(UNSEEN)


def in_short(message: str) -> str:
    """Return what somebody's code raised as one line that can stand in a table."""
    line = visible(" ".join(message.split()))
    return line if len(line) <= LONGEST_REASON else f"{line[:LONGEST_REASON]} ..."
