"""The models against the radiologists, of the whole archive, as the page shows it: the tables of `birads stats`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy.orm import Session

from config.settings import Settings
from models.birads.calibration import Level
from models.birads.categories import is_suspicious
from models.evaluation.agreement_tables import agreement_table, confusion_table
from models.evaluation.tables import Draws, Table
from models.types.birads import Agreement, Category
from models.types.mammogram import Laterality
from node.agreement.stats import gather
from node.assessments.entered import assessments_of
from node.operations.studies import StudyFilter, find_studies
from node.store.database import open_queue, read_only
from node.store.tables import Study


@dataclass(frozen=True)
class Discordant:
    """A breast or (laterality None) an exam on which models and radiologist disagree on recall."""

    study: int
    laterality: Laterality | None
    agreement: Agreement
    assigned: Category | None
    score: float | None


@dataclass(frozen=True)
class AgreementView:
    """`units`: how many breasts or exams are compared; `bundles`: how many of them each bundle read; `left_out`: what
    is not compared, why, and how many; `at`: when it was calculated, UTC seconds since the epoch."""

    level: Level
    units: int
    tables: tuple[Table, ...]
    discordant: tuple[Discordant, ...]
    bundles: Mapping[str, int]
    left_out: Mapping[str, int]
    at: float


@dataclass(frozen=True)
class DiscordantStudy:
    """A study whose last report says that models and radiologist disagree on recall. `score`: of the exam (0..1);
    `assigned`: the radiologist's categories that count, by breast (None: of the exam); times are UTC seconds since the
    epoch."""

    study: int
    received_at: float
    score: float | None
    assigned: tuple[tuple[Laterality | None, Category], ...]

    @property
    def recalls(self) -> Agreement | None:
        """Who alone recalls; None: the radiologist recalls one breast and not the other, so the study says of which
        they disagree."""
        recalled = {is_suspicious(category) for _, category in self.assigned if category is not Category.SIX}
        if len(recalled) != 1:
            return None
        return Agreement.AI_LOWER if recalled == {True} else Agreement.AI_HIGHER


def discordant_studies(session: Session, limit: int) -> tuple[DiscordantStudy, ...]:
    """The newest discordant studies, as their last reports say."""
    found = find_studies(session, StudyFilter(discordant=True), limit=limit).studies
    return tuple(
        DiscordantStudy(
            view.id,
            view.first_received_at,
            view.score,
            tuple(
                (assessment.laterality, assessment.category)
                for assessment in assessments_of(session, session.get_one(Study, view.id))
            ),
        )
        for view in found
    )


def calculate(settings: Settings, level: Level, now: float) -> AgreementView:
    """Reads the archive, which takes a while where it is large: for a process that is spawned for it.

    Raises:
        QueueUnusable: the queue cannot be used.
    """
    with read_only(open_queue(settings.database)) as session:
        stats = gather(session, settings.data_dir, level, {}, lambda *_: None, settings.birads.recall_threshold)
    some = stats.compared
    return AgreementView(
        level=level,
        units=len(stats.units),
        tables=(confusion_table(some), agreement_table(some, level, Draws())) if some else (),
        discordant=tuple(
            Discordant(
                unit.study, unit.laterality, unit.compared.agreement, unit.compared.assigned, unit.compared.score
            )
            for unit in stats.discordant
        ),
        bundles=dict(stats.bundles),
        left_out=dict(stats.left_out),
        at=now,
    )
