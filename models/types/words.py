"""What stands in every report, and how a number is written with its noun."""

from __future__ import annotations

RESEARCH_USE_ONLY = "Research use only, not for diagnosis."
"""What every report, every page and every bundle says."""


def counted(number: int, noun: str, plural: str = "") -> str:
    """A number with its noun: "1 image", "2 images", "0 studies"."""
    return f"{number} {noun if number == 1 else plural or f'{noun}s'}"
