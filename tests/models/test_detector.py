"""The detector proposes boxes in the image, and YOLOv8 with CBAM is still YOLOv8."""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from models.detectors.cbam import CBAM
from models.detectors.yolo_cbam import ATTENDED_LAYERS, build, load
from models.protocols import OutOfMemory
from models.types import Mammogram

CPU = torch.device("cpu")
SMALL = {"scale": "n", "input_px": 128}


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def _weights() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return {name: tensor.half() for name, tensor in build("n").state_dict().items()}


def _mammogram(rows: int = 300, columns: int = 200) -> Mammogram:
    y, x = np.mgrid[:rows, :columns]
    breast = (((y - rows / 2) / (rows * 0.45)) ** 2 + (x / (columns * 0.8)) ** 2 < 1).astype(np.float32)
    grain = np.random.default_rng(0).random((rows, columns), dtype=np.float32)
    return Mammogram(breast * (0.3 + 0.4 * grain))


def test_attention_keeps_the_shape_and_begins_by_weighting_everything_alike() -> None:
    features = torch.rand(2, 32, 8, 6)
    attended = CBAM(32)(features).detach()
    assert attended.shape == features.shape
    assert torch.allclose(attended / features, (attended / features).mean(), atol=1e-4)
    assert 0.7 < float(attended.sum() / features.sum()) < 1


def test_attention_weights_channels_by_both_pools_and_places_by_a_seven_pixel_window() -> None:
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


def test_stock_weights_load_and_only_the_attention_is_new() -> None:
    from ultralytics.nn.tasks import DetectionModel

    stock = DetectionModel("yolov8n.yaml", nc=2, verbose=False).state_dict()
    missing, unexpected = build("n").load_state_dict(stock, strict=False)
    assert not unexpected
    assert {name.split(".")[1] for name in missing} == {str(layer) for layer in ATTENDED_LAYERS}
    assert all(".cbam." in name for name in missing)


def test_ultralytics_changes_nothing_outside_its_adapter(tmp_path: Path) -> None:
    script = "import torch; before = torch.save, torch.load; import models.detectors.yolo_cbam\n"
    script += "assert before == (torch.save, torch.load)"
    home = {"HOME": str(tmp_path), "TMPDIR": str(tmp_path), "PATH": os.environ["PATH"]}
    subprocess.run([sys.executable, "-c", script], env=home, check=True, timeout=300)
    assert not list(tmp_path.rglob("*ltralytics*"))


def test_proposals_lie_in_the_image_the_surest_first_and_no_more_than_asked_for() -> None:
    detector = load(_weights(), CPU, False, **SMALL, confidence=0.0, most=7)
    image = _mammogram()
    (found,) = detector.detect([image])
    assert 0 < len(found) <= 7
    assert all(one.confidence >= other.confidence for one, other in pairwise(found))
    assert all(one.box.bottom <= 300 and one.box.right <= 200 and 0 <= one.confidence <= 1 for one in found)


def test_what_is_found_does_not_depend_on_which_images_were_waiting_beside_it() -> None:
    detector = load(_weights(), CPU, False, **SMALL, confidence=0.0, most=3)
    image, other = _mammogram(), _mammogram(180, 260)
    assert detector.detect([image])[0] == detector.detect([other, image, image])[1]


def test_no_images_and_empty_images_give_no_proposals() -> None:
    detector = load(_weights(), CPU, False, **SMALL, confidence=0.9)
    assert detector.detect([]) == []
    assert detector.detect([Mammogram(np.zeros((64, 64), dtype=np.float32))]) == [()]


def test_weights_of_another_network_are_refused() -> None:
    with pytest.raises(RuntimeError, match="size mismatch"):
        load(_weights(), CPU, False, **{**SMALL, "scale": "s"})


def test_a_full_gpu_is_told_as_out_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    detector = load(_weights(), CPU, False, **SMALL)

    def full(*_: object) -> None:
        raise torch.cuda.OutOfMemoryError

    detector._network.register_forward_pre_hook(full)
    with pytest.raises(OutOfMemory, match="1 images of 128 pixels"):
        detector.detect([_mammogram()])
