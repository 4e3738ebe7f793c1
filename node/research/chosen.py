"""Which studies of the archive leave it for research, and what belongs to each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session, selectinload

from models.datasets.case import LeftOut
from models.types.birads import Assessment
from models.types.mammogram import Laterality
from node.annotations.archive_cases import TrueImage
from node.assessments.entered import assessments_of
from node.operations.studies import StudyFilter, conditions
from node.retention.told import day_of
from node.store.states import StudyState
from node.store.tables import Instance, Study

_FINISHED = (StudyState.CLOSED, StudyState.REPORTED)


@dataclass(frozen=True)
class ChosenImage:
    """An image of the archive. `truth`: what an expert drew in it, if an expert corrected it. UIDs, patient ID and path
    are patient data."""

    id: int
    uid: str
    patient_id: str
    path: str
    laterality: Laterality | None
    view: str | None
    truth: TrueImage | None


@dataclass(frozen=True)
class ChosenStudy:
    """A study with its mammograms and the radiologists' categories."""

    id: int
    uid: str
    images: tuple[ChosenImage, ...]
    assessments: tuple[Assessment, ...]


def wanted_ids(session: Session, wanted: StudyFilter) -> frozenset[int]:
    """The ids of the studies that are wanted."""
    return frozenset(session.scalars(select(Study.id).where(*conditions(wanted))))


def choose(
    session: Session, wanted: StudyFilter, corrected: Sequence[TrueImage], *, only_corrected: bool
) -> tuple[list[ChosenStudy], list[LeftOut]]:
    """The finished studies that are wanted, and what of the wanted is left out on purpose, by row numbers.

    Args:
        corrected: every corrected image of the archive.
        only_corrected: only studies with a corrected image.
    """
    truths = {truth.image.image_id: truth for truth in corrected}
    with_truth = {truth.image.study_id for truth in corrected}
    rows = session.scalars(
        select(Study).where(*conditions(wanted)).options(selectinload(Study.instances)).order_by(Study.id)
    ).all()
    chosen, left_out = [], []
    for row in rows:
        if only_corrected and row.id not in with_truth:
            continue
        if row.state not in _FINISHED:
            left_out.append(LeftOut(f"study {row.id}", f"it is {row.state}"))
            continue
        left_out += _left_out(row)
        chosen.append(
            ChosenStudy(
                row.id,
                row.study_instance_uid,
                tuple(_image(instance, truths) for instance in row.instances if _is_here(instance)),
                tuple(assessments_of(session, row)),
            )
        )
    return chosen, left_out


def _image(instance: Instance, truths: dict[int, TrueImage]) -> ChosenImage:
    return ChosenImage(
        instance.id,
        instance.sop_instance_uid,
        instance.patient_id,
        instance.path,
        instance.laterality,
        instance.view,
        truths.get(instance.id),
    )


def _is_here(instance: Instance) -> bool:
    return instance.kind.is_mammogram and instance.purged_at is None


def _left_out(study: Study) -> Iterator[LeftOut]:
    for instance in study.instances:
        if instance.kind.is_image and not instance.kind.is_mammogram:
            yield LeftOut(f"study {study.id}, image {instance.id}", f"it is no mammogram but {instance.kind}")
        elif instance.kind.is_mammogram and instance.purged_at is not None:
            yield LeftOut(f"study {study.id}, image {instance.id}", f"it was purged on {day_of(instance.purged_at)}")
