"""The statement of intended use, and the formatting of a number with its noun."""

from __future__ import annotations

RESEARCH_USE_ONLY = "Research use only, not for diagnosis."
"""Stated in every report, page and bundle."""
RESEARCH_USE = "research use only"
"""The short form, in descriptions of series and objects."""


def counted(number: int, noun: str, plural: str = "") -> str:
    """A number with its noun: "1 image", "2 images", "0 studies"."""
    return f"{number} {noun if number == 1 else plural or f'{noun}s'}"
