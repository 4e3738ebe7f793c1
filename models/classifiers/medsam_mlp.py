"""A three-layer perceptron on MedSAM as a classifier of malignancy (Guo, Cai and Dungey, Table 1, the rows "MedSAM").

As in the paper: hidden layers of 100 and 50 units, each followed by ReLU, batch norm and dropout of 0.5; a softmax over
two classes. The input is the breast, cropped from the image, through the image encoder of MedSAM (or LiteMedSAM).
`reads` names the input of the perceptron:

    "embedding"  the encoder's embedding, 256 × 64 × 64, averaged over the image: 256 numbers. The paper does not state
                 the pooling; the average is our choice.
    "tokens"     the mask decoder's output tokens (one for the mask's quality, four for masks) after its transformer,
                 with a prompt of one box around the whole input: 5 × 256 numbers.
    "upscaled"   the mask decoder's upscaled features with the same prompt, averaged over the image: 32 numbers.

`tuned` names the parts that are trained with the perceptron: "frozen" (none), "decoder", "all" (the image encoder, and
the decoder if it is read; never the prompt encoder). The paper tunes the "decoder only", but an embedding does not pass
the decoder. Our choice: the perceptron then reads the decoder's tokens (or "upscaled", the other interpretation), so
that the decoder is trained by the malignancy.

Its input is the whole image: a lesion's score is its image's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.anatomy.breast import breast_box_of
from models.device import half_type
from models.halving import in_halves
from models.protocols import ToScore
from models.runner import Runner
from models.segmenters.lite_medsam import LiteMedSamNet
from models.segmenters.network import encode_prompts, positions_of
from models.segmenters.sam import build
from models.segmenters.sam_decoder import SamDecodedNet
from models.segmenters.vit import CHANNELS
from models.types.mammogram import Mammogram
from models.types.words import counted

Encoder = Literal["medsam-vit-b", "lite-medsam"]
Reads = Literal["embedding", "tokens", "upscaled"]
Tuned = Literal["frozen", "decoder", "all"]

_HIDDEN = (100, 50)
_DROPOUT = 0.5
_TOKENS = 5
_MALIGNANT = 1
"""The index of the class."""
_AT_ONCE = 8
"""Images that go through the network together."""


@dataclass(frozen=True)
class Settings:
    """The classifier's settings.

    Attributes:
        encoder: "medsam-vit-b": MedSAM's, 1024 × 1024; "lite-medsam": LiteMedSAM's TinyViT, 256 × 256.
        reads: see above.
    """

    encoder: Encoder = "medsam-vit-b"
    reads: Reads = "embedding"


class MedSamMlp(nn.Module):
    """A complete MedSAM (or another network with its decoder), and the perceptron."""

    def __init__(self, sam: SamDecodedNet, reads: Reads, tuned: Tuned = "frozen") -> None:
        super().__init__()
        self.sam = sam
        self.mlp = _perceptron({"embedding": CHANNELS, "tokens": _TOKENS * CHANNELS, "upscaled": CHANNELS // 8}[reads])
        self.tuned: Tuned = tuned
        self._reads: Reads = reads
        self.sam.requires_grad_(False)
        parts = self.sam.parts()
        if tuned == "all":
            _tune(parts["image_encoder"])
        if tuned != "frozen" and reads != "embedding":
            _tune(parts["mask_decoder"])

    def train(self, mode: bool = True) -> MedSamMlp:
        """As nn.Module.train; parts that are not tuned stay in evaluation mode, so that their norms do not change."""
        super().train(mode)
        if self.tuned != "all":
            self.sam.eval()
        return self

    def embed(self, pictures: Tensor) -> Tensor:
        """Embeddings (N × 256 × 64 × 64, float32) of inputs (N × side × side, from `picture_of`)."""
        return self.sam.embed(pictures[:, None].expand(-1, 3, -1, -1))[0].float()

    def read(self, embedded: Tensor) -> Tensor:
        """The perceptron's inputs (N × its number of inputs) from embeddings (N × 256 × 64 × 64)."""
        if self._reads == "embedding":
            return embedded.mean(dim=(2, 3))
        encoder: Any = self.sam.prompt_encoder
        decoder: Any = self.sam.mask_decoder
        count, channels, rows, columns = embedded.shape
        whole = embedded.new_tensor([[0, 0, self.sam.picture.side, self.sam.picture.side]])
        sparse, dense = encode_prompts(encoder, whole, None, None)
        tokens = torch.cat((decoder.iou_token.weight, decoder.mask_tokens.weight, sparse[0]))
        outputs, features = decoder.transformer(
            embedded + dense, positions_of(encoder).expand(count, -1, -1, -1), tokens.expand(count, -1, -1)
        )
        if self._reads == "tokens":
            return torch.as_tensor(outputs[:, :_TOKENS]).flatten(1)
        upscaled: Tensor = decoder.output_upscaling(features.transpose(1, 2).view(count, channels, rows, columns))
        return upscaled.mean(dim=(2, 3))

    def score(self, read: Tensor) -> Tensor:
        """Logits of the two classes, benign and malignant (N × 2), from the perceptron's inputs."""
        logits: Tensor = self.mlp(read)
        return logits.float()


def encoder_of(name: Encoder) -> SamDecodedNet:
    """MedSAM or LiteMedSAM with arbitrary weights."""
    return LiteMedSamNet() if name == "lite-medsam" else build(name)


def picture_of(image: Mammogram, network: SamDecodedNet) -> NDArray[np.float32]:
    """The breast as the encoder's input, one of three equal channels: side × side, 0..1."""
    prepared = network.picture.prepare(image.pixels[breast_box_of(image).slices])
    return np.asarray(prepared[0].numpy(), dtype=np.float32)


class MedSamMlpClassifier:
    """The classifier. See `models.protocols.Classifier`."""

    def __init__(self, network: MedSamMlp, runner: Runner) -> None:
        runner.place(network)
        self._network, self._runner = network, runner
        self._run = runner.recorded(self._logits, network)

    @property
    def scores_images_alone(self) -> bool:
        """See the protocol: always."""
        return True

    def classify(self, images: Sequence[ToScore]) -> list[tuple[float, list[float]]]:
        """Each image's score, and the same for each of its masks; see the protocol.

        Raises:
            OutOfMemory: not even a single image fits on the device.
        """
        found: list[tuple[float, list[float]]] = []
        for batch in self._runner.batches([None] * len(images), _AT_ONCE):
            some = [images[number] for number in batch]
            scores = in_halves(self._scores, [picture_of(each.image, self._network.sam) for each in some])
            found += [(score, [score] * len(each.masks)) for score, each in zip(scores, some, strict=True)]
        return found

    def _scores(self, pictures: Sequence[NDArray[np.float32]]) -> list[float]:
        with self._runner.fitting(counted(len(pictures), "image")):
            logits = self._run(self._runner.upload(pictures))
            scores: list[float] = torch.softmax(logits, dim=1)[:, _MALIGNANT].tolist()
            return scores

    def _logits(self, pictures: Tensor) -> Tensor:
        # Half precision is not exact enough for the positions of boxes: only the encoder uses it, on a CPU too, where
        # its large maps are limited by memory.
        device = self._runner.device
        with torch.autocast(device.type, half_type(device), enabled=self._runner.mixed_precision):
            embedded = self._network.embed(pictures)
        return self._network.score(self._network.read(embedded))


def load(weights: Mapping[str, Tensor], runner: Runner, **settings: Any) -> MedSamMlpClassifier:
    """Builds the classifier from a bundle's weights and settings.

    Args:
        weights: the network's state dict, in any floating-point type.
        runner: how it is run; in mixed precision the encoder uses half precision on a CPU too.
        settings: see `Settings`.

    Raises:
        RuntimeError: the weights do not fit this network.
        TypeError: a setting or its value is unknown.
    """
    chosen = Settings(**settings)
    for value, known in ((chosen.encoder, get_args(Encoder)), (chosen.reads, get_args(Reads))):
        if value not in known:
            raise TypeError(f"{value!r} is none of {', '.join(known)}")
    network = MedSamMlp(encoder_of(chosen.encoder), chosen.reads)
    network.load_state_dict(
        {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in weights.items()}
    )
    network.eval()
    network.sam.fold()
    if runner.mixed_precision:
        network.sam.keep_half(half_type(runner.device))
    return MedSamMlpClassifier(network, runner)


def _tune(parameters: Iterable[nn.Parameter]) -> None:
    for parameter in parameters:
        parameter.requires_grad_(True)


def _perceptron(inputs: int) -> nn.Sequential:
    first, second = _HIDDEN
    return nn.Sequential(
        *_hidden(inputs, first),
        *_hidden(first, second),
        nn.Linear(second, 2),
    )


def _hidden(inputs: int, units: int) -> tuple[nn.Module, ...]:
    return nn.Linear(inputs, units), nn.ReLU(), nn.BatchNorm1d(units), nn.Dropout(_DROPOUT)
