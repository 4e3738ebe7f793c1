"""What an image of the study shows, by its header."""

from __future__ import annotations

from dataclasses import dataclass

from models.types.mammogram import Laterality


@dataclass(frozen=True)
class Place:
    """The breast and the view; None if the header does not state it. As text: "L MLO"."""

    laterality: Laterality | None
    view: str | None

    def __str__(self) -> str:
        return " ".join(part for part in (self.laterality, self.view) if part)
