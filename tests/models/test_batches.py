"""What an image gives does not depend on what else is in its batch: models.protocols states by how much it may."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sam_networks import seeded, small

from dicom_io.pixels.mammogram import read_mammogram
from models.bundles.bundle import find_bundle, read_bundle
from models.catalog import load_pipeline
from models.classifiers.efficient_net import EfficientNetClassifier, MalignancyNet
from models.classifiers.efficient_net import Settings as Classifying
from models.classifiers.medsam_mlp import MedSamMlp, MedSamMlpClassifier
from models.detectors.yolov8 import YoloDetector, build
from models.protocols import OutOfMemory, ToOutline, ToScore
from models.runner import Runner
from models.segmenters.pictures import MedSamPicture
from models.segmenters.prompted import PromptedSegmenter
from models.segmenters.prompts import Settings
from models.segmenters.sam import SamNet
from models.segmenters.vit import Vit
from models.types.mammogram import Mammogram
from models.types.reading import FindingKind, ImageReading
from models.types.region import Box, Mask
from node.demo.studies import DemoStudy

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")
ALONE, TOGETHER = Runner(CPU), Runner(CPU, together=True)
RECORDED = TOGETHER.recording()
SCORE = 1e-4
PIXELS = 1e-4
"""The share of an outline's pixels that may differ."""


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def drawn(number: int, rows: int = 220, columns: int = 160) -> Mammogram:
    """A breast with waves that differ from image to image."""
    y, x = np.mgrid[:rows, :columns]
    inside = ((y - rows / 2) / (rows * 0.47)) ** 2 + (x / (columns * 0.8)) ** 2 < 1
    waves = 0.45 + 0.25 * np.sin(x / (7 + number) + number) * np.cos(y / (11 + 2 * number))
    return Mammogram((inside * waves).astype(np.float32), (0.5, 0.5))


IMAGES = [drawn(0), drawn(1), drawn(2, 180, 200), drawn(3), drawn(4, 260, 120)]


def square(top: int, left: int, side: int) -> Box:
    return Box(top, left, top + side, left + side)


LESIONS = [[square(60, 20, 30), square(120, 40, 20)], [], [square(70, 50, 40)], [square(40, 10, 12)] * 2, []]
batches = st.lists(st.sampled_from(range(len(IMAGES))), min_size=1, max_size=6)


def alike(one: Mask | None, other: Mask | None) -> bool:
    if one is None or other is None:
        return one is other
    bounds = np.maximum((one.box.bottom, one.box.right), (other.box.bottom, other.box.right))
    differ = np.count_nonzero(one.full(tuple(bounds)) != other.full(tuple(bounds)))
    return bool(differ <= max(1, PIXELS * one.area_px))


@pytest.fixture(scope="module", params=[None, 0.5], ids=["filled frames", "frames at a scale"])
def detectors(request: pytest.FixtureRequest) -> list[YoloDetector]:
    torch.manual_seed(0)
    network = build("n", "cbam").eval()
    chosen: dict[str, Any] = {"input_px": 96, "mm_per_px": request.param, "confidence": 0.0, "iou": 0.5, "most": 5}
    return [YoloDetector(network, runner, **chosen, mirrored=True) for runner in (ALONE, RECORDED)]


@settings(max_examples=6)
@given(batch=batches)
def test_an_image_has_the_same_detections_in_every_batch(detectors: list[YoloDetector], batch: list[int]) -> None:
    images = [IMAGES[number] for number in batch]
    alone, together = (detector.detect(images) for detector in detectors)
    for here, there in zip(alone, together, strict=True):
        assert [found.kind for found in here] == [found.kind for found in there]
        assert [found.box for found in here] == [found.box for found in there]
        assert [f.confidence for f in here] == pytest.approx([f.confidence for f in there], abs=SCORE)


@pytest.mark.parametrize("kind", ["sam", "hq", "tiny", "mlsam"])
def test_lesions_have_the_same_outlines_in_every_batch(kind: str) -> None:
    chosen = Settings(margin_mm=2, context=2, smallest_crop_px=64, prompt="box+point", passes=2, batch=3)
    asked = [
        ToOutline(image, [(box, FindingKind.CALCIFICATION) for box in boxes])
        for image, boxes in zip(IMAGES, LESIONS, strict=True)
    ]
    net = seeded(small(kind))
    alone = [PromptedSegmenter(net, ALONE, chosen).outlines_by_pass([one])[0] for one in asked]
    recorded = PromptedSegmenter(net, RECORDED, chosen)
    for _ in range(4):  # recorded the second time, and replayed from the fourth on
        together = recorded.outlines_by_pass(asked)
        assert [len(masks) for masks in together] == [len(boxes) for boxes in LESIONS]
        for here, there in zip(alone, together, strict=True):
            for one, other in zip(here, there, strict=True):
                assert all(alike(*pair) for pair in zip(one, other, strict=True))


def to_score(batch: Sequence[int]) -> list[ToScore]:
    return [ToScore(IMAGES[number], [filled(box) for box in LESIONS[number]]) for number in batch]


def filled(box: Box) -> Mask:
    return Mask(box, np.ones((box.height, box.width), dtype=np.bool_))


def scores_of(classifier: Any, batch: Sequence[int]) -> list[float]:
    return [score for whole, each in classifier.classify(to_score(batch)) for score in (whole, *each)]


CLASSIFIERS: dict[str, dict[str, Any]] = {
    "mask": {"mode": "mask"},
    "whole": {"mode": "whole"},
    "both": {"mode": "both", "lesion_share": 0.5},
    "both at a scale": {"mode": "both", "lesion_share": 0.5, "mm_per_px": 0.7},
    "radiomics": {"mode": "whole+radiomics", "near_mm": 30.0, "far_mm": (40.0, 60.0)},
}


@pytest.mark.parametrize("chosen", CLASSIFIERS.values(), ids=CLASSIFIERS)
def test_images_and_lesions_have_the_same_scores_in_every_batch(chosen: dict[str, Any]) -> None:
    torch.manual_seed(0)
    how = Classifying(backbone="test_efficientnet", image_px=64, frame_px=96, **chosen)
    network = MalignancyNet(how.mode, how.backbone)
    alone, together = (EfficientNetClassifier(network, runner, how) for runner in (ALONE, RECORDED))
    everyone = range(len(IMAGES))
    wanted = [score for number in everyone for score in scores_of(alone, [number])]
    for _ in range(4):
        assert scores_of(together, everyone) == pytest.approx(wanted, abs=SCORE)
    assert scores_of(together, [2, 2, 0])[:2] == pytest.approx(scores_of(alone, [2]), abs=SCORE)


def test_images_have_the_same_scores_by_medsam_in_every_batch() -> None:
    network = seeded(MedSamMlp(SamNet(Vit(32, 2, 2, (1,)), MedSamPicture(64)), "tokens"))
    alone, together = (MedSamMlpClassifier(network, runner) for runner in (ALONE, RECORDED))
    for _ in range(4):
        assert scores_of(together, range(5)) == pytest.approx(scores_of(alone, range(5)), abs=SCORE)


def room_for(most: int) -> Any:
    def check(_: torch.nn.Module, given: tuple[torch.Tensor, ...]) -> None:
        if len(given[0]) > most:
            raise torch.OutOfMemoryError

    return check


def test_what_does_not_fit_on_the_device_together_is_run_in_halves_with_the_same_result() -> None:
    """Lesions that share a crop go on sharing it, whatever is halved."""
    net = seeded(small("sam"))
    chosen = Settings(margin_mm=2, context=2, smallest_crop_px=64)
    asked = [ToOutline(IMAGES[0], [(box, FindingKind.MASS) for box in LESIONS[0]])] * 3
    segmenter = PromptedSegmenter(net, TOGETHER, chosen)
    wanted = segmenter.segment(asked)
    for full, most in ((net.image_encoder, 1), (net.mask_decoder.transformer, 1)):
        hook = full.register_forward_pre_hook(room_for(most))
        got = segmenter.segment(asked)
        hook.remove()
        for here, there in zip(wanted, got, strict=True):
            assert all(alike(*pair) for pair in zip(here, there, strict=True))
    net.image_encoder.register_forward_pre_hook(room_for(0))
    with pytest.raises(OutOfMemory, match="1 box in 1 crop"):
        segmenter.segment(asked)


@pytest.fixture(scope="module")
def digital(mammogram_study: DemoStudy) -> list[Mammogram]:
    """Real breasts at the scale of a digital detector's pixels: calcifications are looked for too."""
    images = [read_mammogram(file) for file in mammogram_study.files[:2]]
    return [
        replace(image, pixels=cv2.resize(image.pixels, (440, 800), interpolation=cv2.INTER_AREA), spacing_mm=(0.1, 0.1))
        for image in images
    ]


@pytest.mark.slow
def test_the_shipped_bundle_reads_an_image_the_same_in_every_batch(digital: list[Mammogram]) -> None:
    torch.set_num_threads(1)
    bundle = read_bundle(find_bundle("research-default"))
    eager = replace(bundle.detector, settings={**bundle.detector.settings, "confidence": 0.01, "most": 2})
    alone, together = (
        load_pipeline(replace(bundle, detector=eager), CPU, False, together=together) for together in (False, True)
    )
    one_by_one = [alone.read([image])[0] for image in digital]
    assert sum(len(reading.findings) for reading in one_by_one) > 1
    for _ in range(4):  # calls are recorded the second time, and replayed from the fourth on
        for here, there in zip(one_by_one, together.read(digital), strict=True):
            assert_same(here, there)


def assert_same(here: ImageReading, there: ImageReading) -> None:
    assert here.malignancy == pytest.approx(there.malignancy, abs=SCORE)
    assert [(found.box, found.kind) for found in here.findings] == [(found.box, found.kind) for found in there.findings]
    for one, other in zip(here.findings, there.findings, strict=True):
        assert (one.confidence, one.malignancy) == pytest.approx((other.confidence, other.malignancy), abs=SCORE)
        assert alike(one.mask, other.mask)


def numbers(*values: float) -> NDArray[np.float32]:
    return np.array(values, dtype=np.float32)


def test_batches_hold_inputs_of_one_shape_and_not_more_than_allowed() -> None:
    seen: list[tuple[int, ...]] = []

    def work(given: torch.Tensor) -> torch.Tensor:
        seen.append(tuple(given.shape))
        return given.sum(dim=1)

    inputs = [numbers(1, 2), numbers(3), numbers(4, 5), numbers(6, 7), numbers(8)]
    assert [float(total) for total in TOGETHER.each(work, inputs, most=2)] == [3, 3, 9, 13, 8]
    assert seen == [(2, 2), (1, 2), (2, 1)]
    seen.clear()
    assert [float(total) for total in ALONE.each(work, inputs, most=2)] == [3, 3, 9, 13, 8]
    assert seen == [(1, 2), (1, 1), (1, 2), (1, 2), (1, 1)]
    assert TOGETHER.each(work, [], most=2) == []
