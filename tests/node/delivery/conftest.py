"""A reported study that is due at a destination, and a PACS with storage commitment."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from committing import CommittingPacs
from road import Road

from node.demo.studies import DemoStudy


@pytest.fixture
def road(tmp_path: Path, mammogram_study: DemoStudy) -> Road:
    """A reported study: four SEGs and an SR, due at one destination."""
    road = Road(tmp_path)
    road.all_of_it(*mammogram_study.files)
    return road


@pytest.fixture
def pacs() -> Iterator[CommittingPacs]:
    with CommittingPacs().listening() as listening:
        yield listening
