"""A network in an ONNX file that scores the malignancy of a whole image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

from scipy.special import expit, softmax
from torch import Tensor

from models.framing import Size, breast_framing
from models.onnx_network import OnnxNetwork
from models.protocols import ToScore
from models.runner import Runner

Output = Literal["logit", "probability", "softmax"]
_AT_ONCE = 32
"""Images that go through the network together."""


class ImageClassifier:
    """See models.protocols.Classifier. A lesion's score is its image's."""

    scores_images_alone = True

    def __init__(
        self, network: OnnxNetwork, runner: Runner, input_px: Size, mm_per_px: float | None, output: Output
    ) -> None:
        self._network, self._runner, self._output = network, runner, output
        self._framed = breast_framing(input_px, mm_per_px)

    def classify(self, images: Sequence[ToScore]) -> list[tuple[float, list[float]]]:
        """Each image's score, and the same for each mask; see the protocol."""
        frames = [self._framed(asked.image).pixels for asked in images]
        scores = [self._score(found) for found in self._runner.each(self._network, frames, _AT_ONCE)]
        return [(score, [score] * len(asked.masks)) for score, asked in zip(scores, images, strict=True)]

    def _score(self, output: Tensor) -> float:
        values = output.double().numpy()
        if self._output == "softmax":
            return float(softmax(values)[-1])
        (value,) = values.reshape(-1)
        return float(expit(value)) if self._output == "logit" else min(1.0, max(0.0, float(value)))


def load(
    weights: object,
    runner: Runner,
    *,
    input_px: Size,
    mm_per_px: float | None = None,
    output: Output = "logit",
    mean: float | Sequence[float] = 0,
    deviation: float | Sequence[float] = 1,
) -> ImageClassifier:
    """Builds the classifier from a file and settings.

    Args:
        weights: the content of the ONNX file.
        input_px, mm_per_px: of the frame that shows the breast; see `models.framing.breast_framing`.
        output: what the file's output is: one "logit" or one "probability" of malignancy for each image, or logits of
            classes of which the last is malignant ("softmax").
        mean, deviation: see models/onnx_network.py.

    Raises:
        ValueError: the file is not of this form, or a setting does not fit it.
    """
    if output not in get_args(Output):
        raise ValueError(f"output is {output!r}; give one of {', '.join(get_args(Output))}")
    network = OnnxNetwork(weights, runner.device, mean, deviation)
    network.takes(None if mm_per_px is not None else input_px)
    shape, least = network.output_shape(), 2 if output == "softmax" else 1
    classes = shape[1] if len(shape) == 2 else 1
    if len(shape) > 2 or (isinstance(classes, int) and (classes < least or (least == 1 and classes != 1))):
        raise ValueError(f"its output is {' × '.join(map(str, shape))}, which is no {output} for each image")
    return ImageClassifier(network, runner, input_px, mm_per_px, output)
