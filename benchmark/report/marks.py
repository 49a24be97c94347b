"""A short mark for every verdict, so that none is told by colour alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Tone = Literal["good", "bad", "open", "quiet"]


@dataclass(frozen=True)
class Mark:
    """How one verdict is shown where a word is too long."""

    symbol: str
    latex: str  # in plain LaTeX, without further packages
    tone: Tone


MARKS: dict[str, Mark] = {
    "exact": Mark("=", "$=$", "good"),
    "within-noise": Mark("≈", r"$\approx$", "good"),
    "within-margin": Mark("∼", r"$\sim$", "good"),
    "better": Mark("▲", r"$\uparrow$", "good"),
    "differs": Mark("▼", r"$\downarrow$", "bad"),
    "not-comparable": Mark("◇", r"$\diamond$", "open"),
    "stale": Mark("↻", r"$\ast$", "open"),
    "missing": Mark("∅", r"$\emptyset$", "quiet"),
    "cited": Mark("“", r"$\cdot$", "quiet"),
    "holds": Mark("✓", r"$\surd$", "good"),
    "fails": Mark("✗", r"$\times$", "bad"),
    "undecided": Mark("?", "?", "open"),
}


def mark(verdict: str) -> Mark:
    """Return a verdict's mark; a dot for one that is not known here, from a newer report."""
    return MARKS.get(verdict, Mark("•", r"$\bullet$", "quiet"))
