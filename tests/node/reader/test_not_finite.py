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
from torch import Tensor

from models.protocols import NotFinite, ToOutline
from models.runner import Runner
from models.segmenters.network import Embedded, PromptedNet
from models.segmenters.pictures import LiteMedSamPicture
from models.segmenters.prompted import PromptedSegmenter
from models.segmenters.prompts import Settings
from models.types.mammogram import Mammogram
from models.types.reading import FindingKind
from models.types.region import Box
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


class NoOutline(PromptedNet):
    """Embeds a crop as NaN, as an encoder in half precision does whose values grow too large."""

    def __init__(self) -> None:
        super().__init__(LiteMedSamPicture())

    def embed(self, pictures: Tensor) -> Embedded:
        return (torch.full_like(pictures[:, :1], math.nan),)

    def decode(
        self,
        embedded: Embedded,
        index: Tensor,
        boxes: Tensor | None = None,
        points: Tensor | None = None,
        masks: Tensor | None = None,
    ) -> Tensor:
        return embedded[0][index, 0]


@pytest.mark.parametrize("together", [False, True])
def test_a_segmenter_whose_output_is_nan_does_not_say_that_there_is_no_outline(together: bool) -> None:
    """The detector's box would then be reported as the outline."""
    segmenter = PromptedSegmenter(NoOutline(), Runner(torch.device("cpu"), together=together), Settings())
    image = Mammogram(np.eye(300, dtype=np.float32), (0.1, 0.1))
    with pytest.raises(NotFinite, match="outline"):
        segmenter.segment([ToOutline(image, [(Box(10, 10, 50, 50), FindingKind.MASS)])])
