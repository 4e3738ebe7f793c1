"""Pages of pictures: what a detector found, missed and marked wrongly, one page for each data set.

The images are ranked by the detector's result and divided into thirds, and so many of each third are drawn at random:
neither the nicest nor the worst ones are picked by hand.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from models.datasets.case import Case
from models.durable import write_durably
from models.evaluation.detection import measured_images
from models.evaluation.observations import Observation
from models.evaluation.report import templates
from models.types.region import Box
from models.types.words import RESEARCH_USE_ONLY, counted

MANY = 12
"""Pictures of each third."""
THIRDS = ("the best third", "the middle third", "the worst third")
_LONG_SIDE_PX = 520
_JPEG_QUALITY = 80
_TRUE, _FOUND, _FALSE = (255, 140, 60), (80, 200, 80), (61, 85, 220)
"""Blue, green, red: OpenCV has the colours as blue, green, red."""


@dataclass(frozen=True)
class Shown:
    """A picture and its caption; `jpeg` is in base64."""

    jpeg: str
    caption: str


def write_pictures(observations: Sequence[Observation], cases: Sequence[Case], folder: Path, seed: int) -> list[Path]:
    """Writes pictures-SET.html for each data set in which a detector was measured; returns the files.

    Args:
        observations: of the images that were evaluated.
        cases: the same images; those that are drawn are read again.
        folder: of the report; it exists.
        seed: of the random draw.

    Raises:
        DatasetError: an image can no longer be read.
    """
    by_name = {(case.dataset, case.name): case for case in cases}
    written = []
    measured = measured_images(observations)
    for dataset in sorted({observation.dataset for observation in measured}):
        some = [observation for observation in measured if observation.dataset == dataset]
        thirds = [
            (f"{title}: {counted(len(drawn), 'picture')} of {counted(len(third), 'image')}", drawn)
            for title, third in zip(THIRDS, in_thirds(some), strict=True)
            if (drawn := [_shown(observation, by_name[dataset, observation.name]) for observation in draw(third, seed)])
        ]
        written.append(folder / f"pictures-{dataset}.html")
        write_durably(written[-1], _page(dataset, thirds).encode())
    return written


def in_thirds(observations: Sequence[Observation]) -> list[list[Observation]]:
    """The images from the best result to the worst, in three parts."""
    ranked = sorted(observations, key=lambda observation: (-result_of(observation), observation.name))
    ends = [round(len(ranked) * part / 3) for part in range(4)]
    return [ranked[first:last] for first, last in pairwise(ends)]


def draw(third: Sequence[Observation], seed: int) -> list[Observation]:
    """At most `MANY` of them at random, in their order."""
    chosen = np.random.default_rng(seed).permutation(len(third))[:MANY]
    return [third[number] for number in sorted(chosen)]


def result_of(observation: Observation) -> float:
    """−1 (worst) to 1: how sure the detector is of the lesions (their mean; a missed one counts 0), less how sure it is
    of its surest wrong proposal."""
    proposals = observation.proposals or ()
    of_lesion = [0.0] * len(observation.lesions)
    wrong = 0.0
    for proposal in proposals:
        if proposal.lesion is None:
            wrong = max(wrong, proposal.confidence)
        else:
            of_lesion[proposal.lesion] = max(of_lesion[proposal.lesion], proposal.confidence)
    return (float(np.mean(of_lesion)) if of_lesion else 0.0) - wrong


def _shown(observation: Observation, case: Case) -> Shown:
    pixels = case.read().pixels
    scale = min(1.0, _LONG_SIDE_PX / max(pixels.shape))
    size = max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale))
    grey = np.round(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA).clip(0, 1) * 255).astype(np.uint8)
    picture = np.repeat(grey[:, :, None], 3, axis=2)
    for lesion in observation.lesions:
        _rectangle(picture, lesion.box, scale, _TRUE, 2)
    shown = [proposal for proposal in observation.proposals or () if proposal.shown]
    for proposal in shown:
        colour = _FALSE if proposal.lesion is None else _FOUND
        _rectangle(picture, proposal.box, scale, colour, 1)
        corner = round(proposal.box.left * scale), max(10, round(proposal.box.top * scale) - 3)
        cv2.putText(picture, f"{proposal.confidence:.2f}", corner, cv2.FONT_HERSHEY_SIMPLEX, 0.4, colour)
    _, jpeg = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    found = sum(lesion.found for lesion in observation.lesions)
    wrong = sum(proposal.lesion is None for proposal in shown)
    caption = [observation.name, observation.pathology or "pathology not known"]
    if observation.lesions:
        caption.append(f"{found} of {counted(len(observation.lesions), 'lesion')} found")
    caption.append(f"{wrong} wrong")
    if observation.score is not None:
        caption.append(f"score {observation.score:.2f}")
    return Shown(base64.b64encode(jpeg.tobytes()).decode(), ", ".join(caption))


def _rectangle(picture: NDArray[np.uint8], box: Box, scale: float, colour: tuple[int, int, int], width: int) -> None:
    first, last = (
        (round(x * scale), round(y * scale)) for x, y in ((box.left, box.top), (box.right - 1, box.bottom - 1))
    )
    cv2.rectangle(picture, first, last, colour, width)


def _page(dataset: str, thirds: Sequence[tuple[str, Sequence[Shown]]]) -> str:
    template = templates().get_template("pictures.html.jinja")
    return template.render(dataset=dataset, thirds=thirds, use=RESEARCH_USE_ONLY) + "\n"
