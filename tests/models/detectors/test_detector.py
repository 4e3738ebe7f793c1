"""The detector proposes boxes in image pixels, and YOLOv8 with neutral attention equals stock YOLOv8."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from models.detectors.attention import CBAM, ECA, SE, Attention, eca_window
from models.detectors.stock import DetectionModel
from models.detectors.yolov8 import ATTENDED_LAYERS, Finest, YoloDetector, build, load
from models.framing import Frame
from models.protocols import OutOfMemory
from models.runner import Runner
from models.types.mammogram import Mammogram
from models.types.region import Box

pytestmark = pytest.mark.slow

CPU = Runner(torch.device("cpu"))
SMALL: dict[str, Any] = {"scale": "n", "input_px": 128}


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def _weights(attention: Attention = "cbam", finest: Finest = 8) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return {name: tensor.half() for name, tensor in build("n", attention, finest=finest).state_dict().items()}


def _mammogram(rows: int = 300, columns: int = 200) -> Mammogram:
    y, x = np.mgrid[:rows, :columns]
    breast = (((y - rows / 2) / (rows * 0.45)) ** 2 + (x / (columns * 0.8)) ** 2 < 1).astype(np.float32)
    grain = np.random.default_rng(0).random((rows, columns), dtype=np.float32)
    return Mammogram(breast * (0.3 + 0.4 * grain))


@pytest.mark.parametrize("kind", [CBAM, SE, ECA])
def test_attention_keeps_the_shape_and_initially_weights_all_channels_equally(kind: type[torch.nn.Module]) -> None:
    features = torch.rand(2, 32, 8, 6)
    attended = kind(32)(features).detach()
    assert attended.shape == features.shape
    assert torch.allclose(attended / features, (attended / features).mean(), atol=1e-4)
    assert 0.4 < float(attended.sum() / features.sum()) < 1


def test_cbam_uses_average_and_maximum_pooling_and_a_seven_pixel_spatial_kernel() -> None:
    attention = CBAM(32)
    assert attention.places.kernel_size == (7, 7)
    assert attention.places.in_channels == 2
    for parameter in attention.parameters():
        torch.nn.init.normal_(parameter)
    features = torch.rand(1, 32, 16, 16)
    brighter = features.clone()
    brighter[0, 3, 5, 5] = 50  # moves the maximum far and the average little
    change = (attention(brighter) - attention(features))[0, 10]
    assert change.abs().max() > 0


@pytest.mark.parametrize("kind", [SE, ECA])
def test_channel_attention_gives_all_positions_of_a_channel_the_same_weight(kind: type[torch.nn.Module]) -> None:
    attention = kind(32)
    for parameter in attention.parameters():
        torch.nn.init.normal_(parameter)
    features = 1 + torch.rand(2, 32, 8, 6)
    weights = (attention(features) / features).detach()
    assert torch.allclose(weights, weights.mean(dim=(2, 3), keepdim=True).expand_as(weights), atol=1e-5)
    assert weights.mean(dim=(2, 3)).std() > 0.01


def test_squeeze_and_excitation_has_two_layers_and_a_sixteenth_of_the_channels_as_hidden_units() -> None:
    torch.manual_seed(0)
    attention = SE(64)
    for parameter in attention.parameters():
        torch.nn.init.normal_(parameter)
    features = torch.rand(3, 64, 5, 5)
    first, _, second = attention.excite
    assert first.out_channels == 4
    hidden = torch.relu(features.mean(dim=(2, 3)) @ first.weight[:, :, 0, 0].T + first.bias)
    weights = torch.sigmoid(hidden @ second.weight[:, :, 0, 0].T + second.bias)
    assert torch.allclose(attention(features), features * weights[:, :, None, None], atol=1e-6)


def test_the_kernel_of_efficient_channel_attention_grows_with_the_channels() -> None:
    assert [eca_window(channels) for channels in (32, 64, 128, 256, 512, 1024)] == [3, 3, 5, 5, 5, 5]
    attention = ECA(64)
    assert sum(parameter.numel() for parameter in attention.parameters()) == 3
    torch.nn.init.ones_(attention.neighbours.weight)
    features = torch.ones(1, 64, 4, 4)
    brighter = features.clone()
    brighter[0, 10] = 3
    changed = (attention(brighter) / brighter != attention(features) / features)[0].any(dim=(1, 2))
    assert changed.nonzero().flatten().tolist() == [9, 10, 11]


def _make_attention_neutral(network: Any) -> None:
    """Makes attention the identity: for CBAM and SE with a bias at which a float32 sigmoid is 1."""
    for layer in ATTENDED_LAYERS:
        block = network.model[layer]
        if block.attention == "eca":
            block.eca = torch.nn.Identity()
            continue
        last = [block.cbam.shared[2], block.cbam.places] if block.attention == "cbam" else [block.se.excite[2]]
        for convolution in last:
            torch.nn.init.constant_(convolution.bias, 50.0)


@pytest.mark.parametrize("attention", ["none", "cbam", "se", "eca"])
def test_a_network_whose_attention_changes_nothing_is_stock_yolov8_bit_for_bit(attention: Any) -> None:
    torch.manual_seed(0)
    stock: Any = DetectionModel("yolov8n.yaml", nc=2, verbose=False)
    ours = build("n", attention)
    missing, unexpected = ours.load_state_dict(stock.state_dict(), strict=False)
    assert not unexpected
    assert all(f".{attention}." in name for name in missing)
    if attention != "none":
        _make_attention_neutral(ours)
    pixels = torch.rand(2, 3, 96, 64)
    with torch.no_grad():
        assert torch.equal(ours.eval()(pixels)[0], stock.eval()(pixels)[0])
        ours.train()
        stock.train()
        for name, output in stock(pixels).items():
            if isinstance(output, torch.Tensor):
                assert torch.equal(ours(pixels)[name], output)


@pytest.mark.parametrize("scale", ["n", "s", "m", "l", "x"])
def test_every_scale_has_the_stock_networks_weights_and_adds_only_attention(scale: Any) -> None:
    stock: Any = DetectionModel(f"yolov8{scale}.yaml", nc=2, verbose=False)
    shapes = {name: tensor.shape for name, tensor in stock.state_dict().items()}
    ours = {name: tensor.shape for name, tensor in build(scale, "cbam").state_dict().items()}
    added = {name for name in ours if name not in shapes}
    assert {name: shape for name, shape in ours.items() if name not in added} == shapes
    assert {tuple(name.split(".")[:3]) for name in added} == {
        ("model", str(layer), "cbam") for layer in ATTENDED_LAYERS
    }


def test_attention_is_added_only_after_the_given_stages() -> None:
    names = build("n", "se", attended=(6,)).state_dict()
    assert {name.split(".")[1] for name in names if ".se." in name} == {"6"}
    for wrong in ({"attended": (3,)}, {"scale": "z"}, {"attention": "cbma"}):
        with pytest.raises(ValueError, match="No YOLOv8 has"):
            build(**{"scale": "n", "attention": "se", **wrong})


def test_weights_of_another_attention_are_refused() -> None:
    with pytest.raises(RuntimeError, match="Missing key"):
        load(_weights("se"), CPU, **SMALL, attention="eca")


def test_ultralytics_changes_nothing_outside_its_adapter(tmp_path: Path) -> None:
    script = "import torch; before = torch.save, torch.load; import models.detectors.yolov8\n"
    script += "assert before == (torch.save, torch.load)"
    home = {"HOME": str(tmp_path), "TMPDIR": str(tmp_path), "PATH": os.environ["PATH"]}
    subprocess.run([sys.executable, "-c", script], env=home, check=True, timeout=300)
    assert not list(tmp_path.rglob("*ltralytics*"))


def test_proposals_lie_in_the_image_sorted_by_confidence_and_limited_in_number() -> None:
    detector = load(_weights(), CPU, **SMALL, confidence=0.0, most=7)
    image = _mammogram()
    (found,) = detector.detect([image])
    assert 0 < len(found) <= 7
    assert all(higher.confidence >= lower.confidence for higher, lower in pairwise(found))
    assert all(
        detection.box.bottom <= 300 and detection.box.right <= 200 and 0 <= detection.confidence <= 1
        for detection in found
    )


def test_the_detections_of_an_image_do_not_depend_on_the_other_images_of_the_batch() -> None:
    detector = load(_weights(), CPU, **SMALL, confidence=0.0, most=3)
    image, other = _mammogram(), _mammogram(180, 260)
    assert detector.detect([image])[0] == detector.detect([other, image, image])[1]


def test_no_images_and_empty_images_give_no_proposals() -> None:
    detector = load(_weights(), CPU, **SMALL, confidence=0.9)
    assert detector.detect([]) == []
    assert detector.detect([Mammogram(np.zeros((64, 64), dtype=np.float32))]) == [()]


def test_weights_of_another_network_are_refused() -> None:
    with pytest.raises(RuntimeError, match="size mismatch"):
        load(_weights(), CPU, **{**SMALL, "scale": "s"})


def test_a_full_gpu_is_reported_as_out_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    detector = load(_weights(), CPU, **SMALL)

    def full(*_: object) -> None:
        raise torch.cuda.OutOfMemoryError

    detector._network.register_forward_pre_hook(full)
    with pytest.raises(OutOfMemory, match="1 input of 128 × 128"):
        detector.detect([_mammogram()])


def test_at_a_fixed_scale_each_breast_has_its_own_frame_and_findings_independent_of_the_batch() -> None:
    small, large = (replace(_mammogram(rows, 200), spacing_mm=(0.5, 0.5)) for rows in (200, 300))
    detector = load(_weights(), CPU, **SMALL, mm_per_px=0.8, confidence=0.0, most=5)
    together = detector.detect([small, large, small])
    assert together == [detector.detect([image])[0] for image in (small, large, small)]
    assert all(found.box.bottom <= 200 and found.box.right <= 200 for found in together[0])


class Brightness(torch.nn.Module):
    """A network whose confidence is the local brightness, halved in the right half of the frame."""

    stride = torch.tensor([8, 16, 32])

    def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, None]:
        found = []
        for stride in self.stride.tolist():
            grey = torch.nn.functional.avg_pool2d(pixels[:, :1], stride)
            height, width = grey.shape[-2:]
            grey = grey * torch.where(torch.arange(width) < width / 2, 1.0, 0.5)
            y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
            box = torch.stack((stride * (x + 0.5), stride * (y + 0.5), 0 * x + stride, 0 * y + stride))
            found.append(torch.cat((box.expand(len(grey), -1, -1, -1), grey, 0 * grey), dim=1).flatten(2))
        return torch.cat(found, dim=2), None


@pytest.mark.parametrize("rows", [128, 160])
def test_with_mirroring_the_confidences_of_the_same_place_are_averaged(rows: int) -> None:
    pixels = np.zeros((rows, 128), dtype=np.float32)
    pixels[32:40, 16:24], pixels[64:72, 104:112] = 1.0, 1.0  # one lesion on the left, one on the right
    shown = Frame(pixels, Box(0, 0, rows, 128), 1.0, 0, 0)
    settings: dict[str, Any] = {"input_px": (rows, 128), "mm_per_px": None, "confidence": 0.4, "iou": 0.2, "most": 9}
    once = YoloDetector(Brightness(), CPU, **settings, mirrored=False).detect_framed([shown])[0]
    twice = YoloDetector(Brightness(), CPU, **settings, mirrored=True).detect_framed([shown])[0]
    assert [(detection.box, detection.confidence) for detection in once] == [
        (Box(32, 16, 40, 24), 1.0),
        (Box(64, 104, 72, 112), 0.5),
    ]
    assert [(detection.box, detection.confidence) for detection in twice] == [
        (Box(32, 16, 40, 24), 0.75),
        (Box(64, 104, 72, 112), 0.75),
    ]


@pytest.mark.parametrize("finest", [8, 4])
def test_with_mirroring_a_mirrored_breast_gets_mirrored_proposals(finest: Finest) -> None:
    image = _mammogram()
    weights = _weights(finest=finest)
    detector = load(weights, CPU, **SMALL, finest=finest, confidence=0.0, most=5, mirrored=True)
    found, again, mirrored = detector.detect([image, image, Mammogram(np.ascontiguousarray(image.pixels[:, ::-1]))])
    assert found == again
    for detection, other in zip(found, mirrored, strict=True):
        assert detection.confidence == pytest.approx(other.confidence, abs=1e-5)
        assert (detection.box.left, detection.box.right) == pytest.approx(
            (200 - other.box.right, 200 - other.box.left), abs=1
        )
        assert (detection.box.top, detection.box.bottom) == (other.box.top, other.box.bottom)
