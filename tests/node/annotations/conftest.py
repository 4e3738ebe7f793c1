"""A study that the node has read and reported: a mass proposed in the middle of each of its four views."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread
from road import Road

from node.demo.studies import DemoStudy


@pytest.fixture(scope="session")
def reported_folder(mammogram_study: DemoStudy, tmp_path_factory: pytest.TempPathFactory) -> Path:
    road = Road(tmp_path_factory.mktemp("reported") / "data")
    road.all_of_it(*mammogram_study.files)
    road.sessions.kw["bind"].dispose()
    return road.data_dir


@pytest.fixture
def road(tmp_path: Path) -> Road:
    """An empty node."""
    return Road(tmp_path / "empty")


@pytest.fixture
def reported(reported_folder: Path, tmp_path: Path) -> Road:
    """A node that has reported the study, ten minutes after the report."""
    shutil.copytree(reported_folder, tmp_path / "data")
    road = Road(tmp_path / "data")
    road.clock.seconds += 600
    return road


@pytest.fixture
def images(mammogram_study: DemoStudy) -> list[Dataset]:
    """The study's images."""
    return [dcmread(path) for path in mammogram_study.files]
