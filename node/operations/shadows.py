"""Shadow readings side by side with what was reported: score against score, and categories that changed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import mean

from sqlalchemy import select
from sqlalchemy.orm import Session

from node.store.tables import ShadowReading

MOST = 1000
"""The newest readings that are compared."""


@dataclass(frozen=True)
class Pair:
    """A study, read by two bundles: exam scores (0..1) and implied categories (None: not calibrated)."""

    study: int
    score: float
    other_score: float
    category: str | None
    other_category: str | None
    findings_new: int
    findings_gone: int

    @property
    def is_changed(self) -> bool:
        return self.category != self.other_category


@dataclass(frozen=True)
class SideBySide:
    """Two bundles on the same studies, the newest reading of each first. `changes`: how often a category became
    another, the most frequent first."""

    bundle: str
    other_bundle: str
    pairs: tuple[Pair, ...]

    @property
    def mean_difference(self) -> float:
        return mean(pair.other_score - pair.score for pair in self.pairs)

    @property
    def changes(self) -> tuple[tuple[str | None, str | None, int], ...]:
        counts = Counter((pair.category, pair.other_category) for pair in self.pairs if pair.is_changed)
        return tuple((before, now, count) for (before, now), count in counts.most_common())


def side_by_side(session: Session) -> tuple[SideBySide, ...]:
    """The newest shadow readings, by the two bundles that read; of a study only the newest of each two bundles."""
    rows = session.scalars(select(ShadowReading).order_by(ShadowReading.id.desc()).limit(MOST))
    return tuple(SideBySide(*bundles, tuple(pairs.values())) for bundles, pairs in _by_bundles(rows).items())


def _by_bundles(rows: Iterable[ShadowReading]) -> dict[tuple[str, str], dict[int, Pair]]:
    found: dict[tuple[str, str], dict[int, Pair]] = {}
    for row in rows:
        found.setdefault((row.bundle, row.other_bundle), {}).setdefault(
            row.study_id,
            Pair(
                row.study_id,
                row.score,
                row.other_score,
                row.category,
                row.other_category,
                row.findings_new,
                row.findings_gone,
            ),
        )
    return found
