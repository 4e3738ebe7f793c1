"""The classifier scores an image and each lesion, and sees only the lesion when it scores one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch

from models.classifiers.efficient_net import EfficientNetClassifier, MalignancyNet, Mode, load
from models.classifiers.pictures import (
    LESION_PX,
    PADDING_PX,
    image_picture,
    lesion_picture,
    middle_of,
    with_surroundings,
)
from models.protocols import OutOfMemory, ToScore
from models.runner import Runner
from models.types.mammogram import Mammogram
from models.types.region import Box, Mask

CPU = Runner(torch.device("cpu"))
TINY: dict[str, Any] = {"backbone": "test_efficientnet", "image_px": 96}
"""timm's smallest EfficientNet."""
BOTH = {**TINY, "mode": "both"}


@pytest.fixture(scope="module")
def weights() -> dict[str, torch.Tensor]:
    torch.set_num_threads(1)
    return _weights("both")


def _weights(mode: Mode) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return {name: _halved(tensor) for name, tensor in MalignancyNet(mode, "test_efficientnet").state_dict().items()}


def _halved(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.half() if tensor.is_floating_point() else tensor


def classify(classifier: EfficientNetClassifier, image: Mammogram, masks: Sequence[Mask]) -> tuple[float, list[float]]:
    [scored] = classifier.classify([ToScore(image, masks)])
    return scored


def _mammogram(factor: int = 1) -> Mammogram:
    y, x = np.mgrid[: 300 * factor, : 200 * factor] / factor
    breast = ((y - 150) / 140) ** 2 + (x / 160) ** 2 < 1
    waves = 0.4 + 0.2 * np.sin(x / 9) * np.cos(y / 13)
    return Mammogram((breast * waves).astype(np.float32), spacing_mm=(0.5 / factor, 0.5 / factor))


def _mask(top: int, left: int, height: int, width: int) -> Mask:
    return Mask(Box(top, left, top + height, left + width), np.ones((height, width), dtype=np.bool_))


def test_the_image_and_each_mask_have_a_score(weights: dict[str, torch.Tensor]) -> None:
    classifier = load(weights, CPU, **BOTH)
    masks = [_mask(100, 50, 30, 40), _mask(60, 20, 10, 10), _mask(150, 80, 1, 1)]
    score, scores = classify(classifier, _mammogram(), masks)
    assert len(scores) == 3
    assert all(0 <= value <= 1 for value in (score, *scores))
    alone, of_none = classify(classifier, _mammogram(), [])
    assert alone == pytest.approx(score)
    assert of_none == []


def test_a_lesion_classifier_scores_an_image_by_its_highest_lesion_or_the_minimum_without_any() -> None:
    classifier = load(_weights("mask"), CPU, mode="mask", floor=0.03, **TINY)
    score, scores = classify(classifier, _mammogram(), [_mask(100, 50, 30, 40), _mask(60, 20, 10, 10)])
    assert len(set(scores)) == 2
    assert score == max(scores)
    assert classify(classifier, _mammogram(), []) == (0.03, [])


def test_an_image_classifier_gives_each_lesion_the_score_of_its_image() -> None:
    classifier = load(_weights("whole"), CPU, mode="whole", **TINY)
    score, scores = classify(classifier, _mammogram(), [_mask(100, 50, 30, 40), _mask(60, 20, 10, 10)])
    assert scores == [score, score]
    assert classify(classifier, _mammogram(), []) == (score, [])


def test_with_radiomics_each_lesion_has_a_score_and_the_image_has_the_highest() -> None:
    classifier = load(_weights("whole+radiomics"), CPU, mode="whole+radiomics", **TINY)
    score, scores = classify(classifier, _mammogram(), [_mask(100, 50, 30, 40), _mask(60, 20, 10, 10)])
    assert len(set(scores)) == 2
    assert score == max(scores)
    assert 0 < classify(classifier, _mammogram(), [])[0] < 1
    with pytest.raises(ValueError, match="spacing_mm"):
        classify(classifier, Mammogram(_mammogram().pixels), [_mask(100, 50, 30, 40)])


def test_the_size_of_the_image_does_not_change_the_scores(weights: dict[str, torch.Tensor]) -> None:
    classifier = load(weights, CPU, **BOTH)
    score, (lesion,) = classify(classifier, _mammogram(), [_mask(100, 50, 40, 30)])
    larger, (larger_lesion,) = classify(classifier, _mammogram(3), [_mask(300, 150, 120, 90)])
    assert larger == pytest.approx(score, abs=0.02)
    assert larger_lesion == pytest.approx(lesion, abs=0.02)


def test_a_lesion_picture_is_masked_and_centred_with_twenty_pixels_of_padding() -> None:
    pixels = np.full((512, 512), 0.5, dtype=np.float32)
    drawn = np.zeros((512, 512), dtype=np.bool_)
    drawn[300:400, 10:60] = True
    drawn[300:310, 10:20] = False
    picture = lesion_picture(pixels, drawn)
    rows, columns = np.flatnonzero(picture.any(axis=1)), np.flatnonzero(picture.any(axis=0))
    assert (rows[0], rows[-1]) == (PADDING_PX, LESION_PX - PADDING_PX - 1)
    assert columns[0] + columns[-1] == pytest.approx(LESION_PX - 1, abs=1)
    assert picture[PADDING_PX, columns[0]] == 0


def test_pixels_outside_the_mask_do_not_change_a_lesion_picture() -> None:
    pixels = np.random.default_rng(0).random((512, 512), dtype=np.float32)
    drawn = np.zeros((512, 512), dtype=np.bool_)
    drawn[200:260, 200:300] = True
    beside = np.where(drawn, pixels, 1 - pixels).astype(np.float32)
    assert np.array_equal(lesion_picture(pixels, drawn), lesion_picture(beside, drawn))


@pytest.mark.parametrize(("side", "shown"), [(20, 20), (160, 160), (400, 179)])
def test_a_lesion_with_its_surroundings_is_in_the_middle_at_the_scale_of_the_frame_or_smaller(
    side: int, shown: int
) -> None:
    pixels = np.full((1200, 1200), 0.4, dtype=np.float32)
    box = Box(400, 400, 400 + side, 400 + side)
    pixels[box.slices] = 1
    picture = with_surroundings(pixels, box)
    bright = Box.around(picture > 0.7)
    assert picture.shape == (LESION_PX, LESION_PX)
    assert bright is not None
    assert (bright.height, bright.width) == pytest.approx((shown, shown), abs=1)
    assert (bright.top + bright.bottom, bright.left + bright.right) == pytest.approx((LESION_PX, LESION_PX), abs=2)
    assert picture.min() == pytest.approx(0.4)


def test_beyond_the_frame_a_lesion_is_surrounded_by_air() -> None:
    picture = with_surroundings(np.ones((300, 300), dtype=np.float32), Box(0, 280, 10, 300))
    assert picture[: LESION_PX // 2 - 5].max() == 0
    assert picture[:, LESION_PX // 2 + 10 :].max() == 0
    assert picture[LESION_PX // 2 + 5, LESION_PX // 2] == 1


def test_a_wider_picture_holds_the_plain_one_in_its_middle() -> None:
    pixels = np.random.default_rng(0).random((700, 500), dtype=np.float32)
    box = Box(300, 200, 340, 260)
    assert np.array_equal(middle_of(with_surroundings(pixels, box, 1.5), LESION_PX), with_surroundings(pixels, box))


def test_an_oblong_picture_keeps_the_proportions_of_the_breast() -> None:
    picture = image_picture(np.ones((400, 100), dtype=np.float32), (320, 192))
    shown = Box.around(picture > 0)
    assert picture.shape == (320, 192)
    assert shown == Box(0, 56, 320, 136)


def test_at_a_scale_the_tissue_round_a_lesion_counts_and_the_size_of_its_pixels_does_not(
    weights: dict[str, torch.Tensor],
) -> None:
    at_scale = load(weights, CPU, **BOTH, mm_per_px=0.5)
    masked = load(weights, CPU, **BOTH)
    image, mask = _mammogram(), _mask(100, 50, 40, 30)
    _, (score,) = classify(at_scale, image, [mask])
    _, (finer,) = classify(at_scale, _mammogram(3), [_mask(300, 150, 120, 90)])
    assert finer == pytest.approx(score, abs=0.02)
    beside = image.pixels.copy()
    beside[145:160, 50:80] *= 0.5
    changed = Mammogram(beside, image.spacing_mm)
    assert classify(at_scale, changed, [mask])[1] != [score]
    assert classify(masked, changed, [mask])[1] == pytest.approx(classify(masked, image, [mask])[1], abs=1e-6)
    with pytest.raises(ValueError, match="no scale"):
        classify(at_scale, Mammogram(image.pixels), [mask])
    with pytest.raises(ValueError, match="mm_per_px is 0"):
        load(weights, CPU, **BOTH, mm_per_px=0)


def test_at_a_scale_a_film_s_border_and_labels_change_no_score(weights: dict[str, torch.Tensor]) -> None:
    classifier = load(weights, CPU, **BOTH, mm_per_px=0.5)
    image, mask = _mammogram(), _mask(100, 50, 40, 30)
    film = image.pixels.copy()
    film[:, 195:] = 1.0
    film[:40, 110:160] = 0.9  # in the corner of the breast's box
    on_film = Mammogram(film, image.spacing_mm)
    (score, (lesion,)), (plain, (of_plain,)) = (classify(classifier, shown, [mask]) for shown in (on_film, image))
    # The border moves the threshold between breast and air a little, and the breast's edge with it.
    assert (score, lesion) == pytest.approx((plain, of_plain), abs=1e-5)


def test_a_full_gpu_is_reported_as_out_of_memory(weights: dict[str, torch.Tensor]) -> None:
    classifier = load(weights, CPU, **BOTH)

    def full(*_: object) -> None:
        raise torch.cuda.OutOfMemoryError

    classifier._network.backbone.register_forward_pre_hook(full)
    with pytest.raises(OutOfMemory):
        classify(classifier, _mammogram(), [])


def test_weights_of_another_network_are_refused() -> None:
    with pytest.raises(RuntimeError, match="Missing key"):
        load({}, CPU, **BOTH)
    with pytest.raises(RuntimeError, match="Unexpected key"):
        load(_weights("both"), CPU, mode="whole", **TINY)


def test_an_unknown_setting_or_backbone_is_refused() -> None:
    with pytest.raises(TypeError, match="colour"):
        load({}, CPU, colour="grey")
    with pytest.raises(RuntimeError, match="no-such-net"):
        load({}, CPU, backbone="no-such-net")


def test_the_weight_of_the_worst_lesion_in_the_score_of_an_image_is_a_setting() -> None:
    image, masks = _mammogram(), [Mask(Box(30, 20, 50, 45), np.ones((20, 25), dtype=np.bool_))]
    weights = {
        name: weight.clone() for name, weight in MalignancyNet("both", "efficientnet_lite0").state_dict().items()
    }

    def scores(share: float, some: list[Mask]) -> tuple[float, list[float]]:
        small: dict[str, Any] = {"mode": "both", "backbone": "efficientnet_lite0", "image_px": 64, "frame_px": 64}
        return classify(load(weights, CPU, **small, lesion_share=share, floor=0.2), image, some)

    alone, (lesion,) = scores(0.0, masks)
    assert scores(0.0, []) == (alone, [])
    assert scores(1.0, masks)[0] == pytest.approx(lesion)
    assert scores(1.0, [])[0] == pytest.approx(0.2)
    low, high = sorted((alone, lesion))
    assert low <= scores(0.5, masks)[0] <= high
    with pytest.raises(ValueError, match="lesion_share 2"):
        scores(2, masks)
