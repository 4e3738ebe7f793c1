"""A bundle's figures in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def flat(figures: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Figures of a bundle.toml as names and texts; a list of three numbers is a value with its interval."""
    for name, value in figures.items():
        match value:
            case Mapping():
                yield from flat(value, f"{prefix}{name} ")
            case [float() as middle, float() as low, float() as high]:
                yield f"{prefix}{name}", f"{middle:.2f} (95 % CI {low:.2f} to {high:.2f})"
            case float():
                yield f"{prefix}{name}", f"{value:.3f}"
            case _:
                yield f"{prefix}{name}", str(value)
