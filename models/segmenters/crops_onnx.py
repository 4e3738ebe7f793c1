"""A network in an ONNX file that outlines the lesion in the middle of a square crop, such as a U-Net or nnU-Net."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from models.onnx_network import OnnxNetwork
from models.protocols import ToOutline
from models.runner import Runner
from models.segmenters.prompted import touching
from models.segmenters.prompts import Prompt, Settings, prompts_of
from models.types.region import Mask

_AT_ONCE = 32
"""Crops that go through the network together."""


class CropSegmenter:
    """See models.protocols.Segmenter."""

    def __init__(self, network: OnnxNetwork, runner: Runner, input_px: int, settings: Settings) -> None:
        self._network, self._runner, self._input_px, self._settings = network, runner, input_px, settings

    def segment(self, images: Sequence[ToOutline]) -> list[list[Mask | None]]:
        """One mask per lesion; see the protocol. Raises the same errors as `models.segmenters.prompts.prompts_of`."""
        prompts = [prompts_of(asked.image, [box for box, _ in asked.lesions], self._settings) for asked in images]
        crops = [
            self._crop(asked.image.pixels, prompt)
            for asked, of_image in zip(images, prompts, strict=True)
            for prompt in of_image
        ]
        logits = iter(self._runner.each(self._network, crops, _AT_ONCE))
        return [
            [
                self._outline(prompt, next(logits), self._settings.kept(kind))
                for prompt, (_, kind) in zip(of_image, asked.lesions, strict=True)
            ]
            for asked, of_image in zip(images, prompts, strict=True)
        ]

    def _crop(self, pixels: NDArray[np.float32], prompt: Prompt) -> NDArray[np.float32]:
        size = (self._input_px, self._input_px)
        return np.asarray(cv2.resize(pixels[prompt.crop.slices], size, interpolation=cv2.INTER_AREA), np.float32)

    def _outline(self, prompt: Prompt, logits: Tensor, kept: Any) -> Mask | None:
        size = (prompt.crop.width, prompt.crop.height)
        restored = cv2.resize(logits.squeeze(0).numpy(), size, interpolation=cv2.INTER_LINEAR)
        return touching(np.asarray(restored > 0), prompt, kept)


def load(
    weights: object,
    runner: Runner,
    *,
    input_px: int,
    mean: float | Sequence[float] = 0,
    deviation: float | Sequence[float] = 1,
    **crops: Any,
) -> CropSegmenter:
    """Builds the segmenter from a file and settings.

    Args:
        weights: the content of the ONNX file; its output is batch × 1 × rows × columns, logits: above 0 is the lesion.
        input_px: the side of its input, to which a crop is resized.
        mean, deviation: see models/onnx_network.py.
        crops: which crops it sees, and which parts of the outline are kept: see `models.segmenters.prompts.Settings`.

    Raises:
        TypeError, ValueError: the file is not of this form, or a setting is unknown or does not fit it.
    """
    settings = Settings(**crops)
    if settings.passes != 1:
        raise ValueError("passes: this network has no mask prompt, so it looks once")
    network = OnnxNetwork(weights, runner.device, mean, deviation)
    network.takes(input_px)
    shape = network.output_shape()
    if len(shape) != 4 or (shape[1] not in (1, None) and isinstance(shape[1], int)):
        raise ValueError(f"its output is {' × '.join(map(str, shape))}; it must be batch × 1 × rows × columns")
    return CropSegmenter(network, runner, input_px, settings)
