"""CPU and CUDA give the same reading, with and without mixed precision."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dicom_io.pixels.mammogram import read_mammogram
from models.bundles.bundle import find_bundle, read_bundle
from models.catalog import load_pipeline
from models.types.reading import Finding, ImageReading
from node.demo.studies import DemoStudy

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device on this machine"),
]

# float32 on CUDA differs by the order of sums and TF32; half precision keeps three decimal digits.
TOLERANCES = {False: (0.01, 2, 0.99), True: (0.03, 6, 0.95)}
"""mixed precision → largest difference of scores, of box edges in pixels, and smallest Dice of two masks."""

SURE = 0.45


@pytest.mark.parametrize("mixed_precision", [False, True])
def test_the_same_findings_on_cpu_and_cuda(mammogram_study: DemoStudy, mixed_precision: bool) -> None:
    bundle = read_bundle(find_bundle("research-default"))
    images = [read_mammogram(file) for file in mammogram_study.files]
    on_cpu = load_pipeline(bundle, torch.device("cpu"), mixed_precision=False).read(images)
    on_cuda = load_pipeline(bundle, torch.device("cuda"), mixed_precision=mixed_precision).read(images)
    for cpu, cuda in zip(on_cpu, on_cuda, strict=True):
        assert_alike(cpu, cuda, *TOLERANCES[mixed_precision])


def assert_alike(cpu: ImageReading, cuda: ImageReading, score: float, edge_px: int, dice: float) -> None:
    assert cpu.malignancy == pytest.approx(cuda.malignancy, abs=score)
    for finding in cpu.findings:
        if finding.confidence < SURE:
            continue  # near the detector's threshold: rounding may decide
        twin = min(cuda.findings, key=lambda candidate: _distance(finding, candidate))
        assert _distance(finding, twin) <= edge_px
        assert finding.malignancy == pytest.approx(twin.malignancy, abs=score)
        assert _dice(finding, twin, cpu.shape) >= dice


def _distance(cpu: Finding, cuda: Finding) -> int:
    edges = [(box.top, box.left, box.bottom, box.right) for box in (cpu.box, cuda.box)]
    return int(np.abs(np.subtract(*edges)).max())


def _dice(cpu: Finding, cuda: Finding, shape: tuple[int, int]) -> float:
    a, b = cpu.mask.full(shape), cuda.mask.full(shape)
    return float(2 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b)))
