"""Renders the templates, with the filters that they use."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from models.types.words import RESEARCH_USE_ONLY, counted

FOLDER = Path(__file__).parent


class Renderer:
    """Makes HTML of templates. Every value is escaped."""

    def __init__(self) -> None:
        self._templates = Environment(
            loader=FileSystemLoader(FOLDER / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters.update(
            moment=moment,
            day=day,
            duration=duration,
            size=size,
            number=number,
            capital=capital,
            score=score,
            counted=counted,
        )
        self._templates.globals.update(RESEARCH_USE_ONLY=RESEARCH_USE_ONLY)

    def render(self, template: str, values: Mapping[str, object]) -> str:
        return self._templates.get_template(template).render(values)


def moment(at: float | None) -> Markup:
    """A time that page.js shows in the browser's time zone; without scripts in UTC, stated. None: a dash."""
    if at is None:
        return Markup("–")
    when = datetime.fromtimestamp(at, UTC)
    return Markup('<time datetime="{}">{}</time>').format(
        when.isoformat(timespec="seconds").replace("+00:00", "Z"), when.strftime("%Y-%m-%d %H:%M UTC")
    )


def day(at: float) -> str:
    """The day of a time, in UTC: "2026-01-31"."""
    return datetime.fromtimestamp(at, UTC).date().isoformat()


def duration(seconds: float | None) -> str:
    """A duration in at most two units: "48 s", "3 min 20 s", "2 h 5 min", "3 days"."""
    if seconds is None:
        return "–"
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    if whole < 2 * 86400:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 86400} days"


def size(count: float) -> str:
    """Bytes: "12.3 GB"."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"


def number(count: int) -> str:
    """A count with spaces between thousands."""
    return f"{count:,}".replace(",", "\u202f")


def score(value: float | None) -> str:
    """A score (0..1); never in percent (safety rule 3)."""
    return "–" if value is None else f"{value:.2f}"


def capital(text: str) -> str:
    return text[:1].upper() + text[1:]
