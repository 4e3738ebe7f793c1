"""Reports of made-up observations, and functions that find tables and rows in them."""

from __future__ import annotations

from dataclasses import replace

from observations import BOX

from models.birads.calibration import Calibration, Level, Method
from models.evaluation.detection import detection_section
from models.evaluation.malignancy import malignancy_section
from models.evaluation.observations import Observation, Proposal
from models.evaluation.segmentation import segmentation_section
from models.evaluation.subgroups import subgroups_section
from models.evaluation.tables import About, Draws, Row, Section, Table
from models.measures.detection import Figure
from models.types.reading import FindingKind

DRAWS = Draws(seed=1, resamples=20)
ABOUT = About("made-up 1: evaluation", "made-up 1", ("made-up",), "all images", left_out=(("x.dcm", "No pixels."),))
CALIBRATION = Calibration(Level.IMAGE, Method.TEMPERATURE, {"slope": (1.0,)}, 0.5, 40, 20)


def sections(observations: list[Observation]) -> tuple[Section, ...]:
    return (
        detection_section(observations, DRAWS),
        segmentation_section(observations, DRAWS),
        malignancy_section(observations, None, {Level.IMAGE: CALIBRATION}, DRAWS),
        subgroups_section(observations, DRAWS),
    )


def table_of(section: Section, name: str) -> Table:
    return next(found for found in section.tables if found.id == name)


def row_of(of: Table, start: str) -> Row:
    return next(found for found in of.rows if found.name.startswith(start))


def value_of(cell: object) -> float:
    assert isinstance(cell, Figure)
    return cell.value


def found(observation: Observation, confidence: float = 0.9) -> Observation:
    right = Proposal(BOX, FindingKind.MASS, confidence, 0)
    return replace(observation, proposals=(right, *(observation.proposals or ())))
