"""Models that give no number for an image."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import torch
from road import Road
from simple_models import OneMass

from models.protocols import NotFinite
from models.runner import Runner
from models.types.mammogram import Mammogram
from node.demo.studies import DemoStudy
from node.store.unread import Unread


@dataclass(frozen=True)
class NoNumber(OneMass):
    """Has no number for the image that it sees first, however often that comes; a score for the others."""

    seen: list[float] = field(default_factory=list)

    def score(self, image: Mammogram) -> float:
        self.seen.append(float(image.pixels.sum()))
        return math.nan if self.seen[-1] == self.seen[0] else 0.5


def test_an_image_for_which_the_models_give_no_number_is_unread_with_the_reason_and_the_others_are_read(
    tmp_path: Path, mammogram_study: DemoStudy
) -> None:
    road = Road(tmp_path, models=NoNumber())
    road.all_of_it(*mammogram_study.files)
    unread = [row for row in road.instances() if row.unread is not None]
    assert [(row.unread, row.reading) for row in unread] == [(Unread.UNREADABLE, None)]
    assert "not finite" in unread[0].unread_detail
    assert sum(row.reading is not None for row in road.instances()) == len(mammogram_study.files) - 1


@pytest.mark.parametrize("together", [False, True])
def test_a_network_whose_output_has_a_nan_says_nothing_of_an_image(together: bool) -> None:
    runner = Runner(torch.device("cpu"), together=together)
    with pytest.raises(NotFinite):
        runner.each(lambda given: given / given, [np.ones((2, 2), np.float32), np.zeros((2, 2), np.float32)], 2)
