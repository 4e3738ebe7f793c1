"""Reads the pathology of breasts (biopsy or follow-up) from a CSV table."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from dicom_io.instance_kinds import IMAGES
from models.types.mammogram import Laterality
from node.assessments.csv_rows import BadRow, read_rows
from node.assessments.text.report import sides_in
from node.store.tables import Instance, Study

_MALIGNANT = {
    "malignant": True,
    "benign": False,
    "benign_without_callback": False,
    "benign without callback": False,
    "normal": False,
}

Outcomes = Mapping[Laterality | None, bool]
"""For a study: whether each breast is malignant; None: the exam, for rows without a breast."""


@dataclass(frozen=True)
class PathologyRow:
    """A row about a breast or (laterality None) an exam."""

    line: int
    study_instance_uid: str
    accession_number: str
    laterality: Laterality | None
    malignant: bool


def read_pathology(path: Path) -> tuple[tuple[PathologyRow, ...], tuple[BadRow, ...]]:
    """The rows of a CSV file, and those that cannot be used.

    Columns: study_instance_uid or accession_number or both, pathology (benign, malignant, also normal and CBIS-DDSM's
    BENIGN_WITHOUT_CALLBACK); laterality (L, R, both; empty: the exam) may be there.

    Raises:
        NoTable: it cannot be read, or its columns are not these.
    """
    return read_rows(path, ("pathology",), ("laterality",), _rows_of)


def outcomes(session: Session, rows: Iterable[PathologyRow]) -> tuple[dict[int, Outcomes], int, tuple[BadRow, ...]]:
    """What the rows say of studies here, by the study's id. Of several rows about a breast (lesions) the worst counts.

    Returns:
        the outcomes, how many rows name a study that is not here, and the rows that may mean one of several studies.
    """
    by_uid = {uid: {study} for study, uid in session.execute(select(Study.id, Study.study_instance_uid))}
    by_accession: dict[str, set[int]] = defaultdict(set)
    named = select(Instance.accession_number, Instance.study_id).where(Instance.kind.in_(IMAGES)).distinct()
    for accession_number, study in session.execute(named):
        by_accession[accession_number].add(study)
    found: dict[int, dict[Laterality | None, bool]] = defaultdict(dict)
    elsewhere, ambiguous = 0, []
    for row in rows:
        uid = row.study_instance_uid
        studies = by_uid.get(uid, set()) if uid else by_accession.get(row.accession_number, set())
        if not studies:
            elsewhere += 1
        elif len(studies) > 1:
            why = f"its accession number belongs to {len(studies)} studies: give study_instance_uid"
            ambiguous.append(BadRow(row.line, why))
        else:
            of_study = found[next(iter(studies))]
            of_study[row.laterality] = row.malignant or of_study.get(row.laterality, False)
    return dict(found), elsewhere, tuple(ambiguous)


def outcome(outcomes: Outcomes, laterality: Laterality | None, breasts: Collection[Laterality]) -> bool | None:
    """Whether a breast or (None) an exam of these breasts is malignant; None if unknown.

    A benign exam has benign breasts; a malignant one does not say which. An exam is benign where all its breasts are.
    """
    if laterality is not None:
        return outcomes.get(laterality, False if outcomes.get(None) is False else None)
    if any(outcomes.values()):
        return True
    return False if None in outcomes or (breasts and set(breasts) <= set(outcomes)) else None


def _rows_of(line: int, row: Mapping[str, str]) -> Iterator[PathologyRow]:
    malignant = _MALIGNANT.get(row["pathology"].lower())
    if malignant is None:
        raise ValueError("its pathology is not known: give benign or malignant")
    sides = sides_in(row["laterality"])
    if sides is None:
        raise ValueError("its laterality is not known: give L, R, both, or nothing for the exam")
    for side in sides or (None,):
        yield PathologyRow(line, row["study_instance_uid"], row["accession_number"], side, malignant)
