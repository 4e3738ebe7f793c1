"""A node in one process, and one with calibrated models: the left breast implies 4C, the right one 1 or 2."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread
from road import Road
from simple_models import OneMass

from config.hl7 import Hl7
from models.birads.calibration import Calibration, Level, Method
from models.types.mammogram import Laterality, Mammogram
from node.assessments.hl7.intake import Hl7Intake
from node.demo.studies import DemoStudy


@dataclass(frozen=True)
class LeftIsSuspicious(OneMass):
    """Scores 0.9 for left breasts and 0.05 for right ones."""

    def score(self, image: Mammogram) -> float:
        return 0.9 if image.laterality is Laterality.LEFT else 0.05


def calibration(level: Level) -> Calibration:
    """A score of 0.9 is a probability of 0.9, and 0.05 of almost 0."""
    corners = {"scores": (0.0, 0.5, 1.0), "probabilities": (0.0, 0.01, 1.0)}
    return Calibration(level, Method.ISOTONIC, corners, 0.5, 10_000, 10_000)


@pytest.fixture
def road(tmp_path: Path) -> Road:
    return Road(tmp_path, models=LeftIsSuspicious(), calibration={level: calibration(level) for level in Level})


@pytest.fixture
def intake(road: Road) -> Hl7Intake:
    return Hl7Intake(road.sessions, road.data_dir, Hl7(), road.clock)


@pytest.fixture
def image(mammogram_study: DemoStudy) -> Dataset:
    """The header of the first image of the study."""
    return dcmread(mammogram_study.files[0], stop_before_pixels=True)
