"""Trains a perceptron on MedSAM (`models/classifiers/medsam_mlp.py`): a Task."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.checkpoints.reading import StartError, read_start
from models.classifiers.medsam_mlp import MedSamMlp, Tuned, picture_of
from models.datasets.case import Case, Pathology
from models.device import half_type
from models.measures.detection import auc
from models.training.classifier.recipe import TaskSettings
from models.training.classifier.samples import dealt, moved_as, origin_of, relit_as
from models.training.kept import IN_MEMORY, Arrays, Kept

_AT_ONCE = 4
"""Batch size of the encoder in validation."""
_KEPT: Mapping[Tuned, str] = {"frozen": "read", "decoder": "embedding", "all": "picture"}
"""The latest intermediate result that does not change during training, by the tuned parts: see `Seen`."""
Batch = tuple[Tensor, Tensor]


@dataclass(frozen=True, eq=False)
class Seen:
    """An image, processed as far as possible before training.

    Attributes:
        kept: float16: the network's input, side × side; if the encoder is frozen and there is no augmentation, the
            embedding, 256 × 64 × 64; if only the perceptron is trained, the perceptron's input, a vector.
        malignant: the label.
        origin: see `models.training.classifier.samples.origin_of`.
    """

    kept: NDArray[np.float16]
    malignant: bool
    origin: str


class MedSamMlpTask:
    """See `models.training.task.Task`. A batch has `Seen.kept` of some images, and their labels.

    A frozen encoder runs once per image, before training, unless the recipe has augmentation. Embeddings for the
    decoder take 2 MB per image. The figure "auc" is that of the images, malignant against the rest.
    """

    figure = "auc"

    def __init__(
        self,
        network: MedSamMlp,
        settings: TaskSettings,
        train: Sequence[Case],
        validation: Sequence[Case],
        device: torch.device,
        seed: int,
        mixed_precision: bool = False,
        kept: Kept = IN_MEMORY,
    ) -> None:
        self._settings, self._seed = settings, seed
        self._judge_from = _KEPT[network.tuned]
        self._train_from = self._judge_from if settings.augmentation == "none" else "picture"
        network.to(device).eval()
        self.train = _seen(network, train, self._train_from, device, mixed_precision, kept)
        self.validation = _seen(network, validation, self._judge_from, device, mixed_precision, kept)
        self.network: nn.Module = network.cpu()

    def parameter_groups(self) -> list[dict[str, Any]]:
        named = [(name, parameter) for name, parameter in self.network.named_parameters() if parameter.requires_grad]
        tuned = [parameter for name, parameter in named if name.startswith("sam.")]
        groups: list[dict[str, Any]] = [{"params": [parameter for name, parameter in named if name.startswith("mlp.")]}]
        return groups + ([{"params": tuned, "lr_scale": self._settings.backbone_rate}] if tuned else [])

    def steps(self) -> int:
        return -(-len(self.train) // self._settings.batch)

    def batches(self, epoch: int) -> Iterator[Batch]:
        draw = np.random.default_rng((self._seed, epoch))
        batches = dealt(self.train, self._settings.batch, self._settings.balanced, draw)
        how = self._settings.augmentation
        for _ in range(self.steps()):
            some = next(batches)
            kept = [sample.kept.astype(np.float32) for sample in some]
            if self._train_from == "picture":
                kept = [relit_as(moved_as(picture, how, draw), how, draw) for picture in kept]
            yield torch.from_numpy(np.stack(kept)), torch.tensor([int(sample.malignant) for sample in some])

    def loss(self, network: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        """Cross-entropy of the two classes. torch spreads `label_smoothing` over both classes: hence the factor 2."""
        assert isinstance(network, MedSamMlp)
        device = next(network.parameters()).device
        logits = network.score(self._read(network, batch[0].to(device), self._train_from))
        loss = nn.functional.cross_entropy(logits, batch[1].to(device), label_smoothing=2 * self._settings.smoothing)
        return loss, {"images": loss.item()}

    def validate(self, network: nn.Module) -> dict[str, float]:
        assert isinstance(network, MedSamMlp)
        device = next(network.parameters()).device
        scores: list[float] = []
        for first in range(0, len(self.validation), _AT_ONCE):
            some = self.validation[first : first + _AT_ONCE]
            kept = torch.from_numpy(np.stack([sample.kept.astype(np.float32) for sample in some])).to(device)
            logits = network.score(self._read(network, kept, self._judge_from))
            scores.extend((logits[:, 1] - logits[:, 0]).tolist())
        return {"auc": auc(np.array(scores), np.array([sample.malignant for sample in self.validation]))}

    def _read(self, network: MedSamMlp, kept: Tensor, what: str) -> Tensor:
        if what == "read":
            return kept
        if what == "picture":
            with torch.set_grad_enabled(torch.is_grad_enabled() and network.tuned == "all"):
                kept = network.embed(kept)
        with torch.autocast(kept.device.type, enabled=False):
            return network.read(kept)


@torch.no_grad()
def _seen(
    network: MedSamMlp, cases: Sequence[Case], what: str, device: torch.device, mixed_precision: bool, kept: Kept
) -> list[Seen]:
    """The cases with a known and fair label."""

    def processed(case: Case) -> Arrays:
        made = torch.from_numpy(picture_of(case.read(), network.sam))
        if what != "picture":
            with torch.autocast(device.type, half_type(device), enabled=mixed_precision):
                embedded = network.embed(made[None].to(device))
            made = (network.read(embedded) if what == "read" else embedded)[0].cpu()
        return {what: made.numpy().astype(np.float16)}

    seen = []
    for case in cases:
        if case.label_is_fair and case.pathology is not None:
            arrays = kept.of(f"{what}/{case.dataset}/{case.name}", partial(processed, case))
            malignant = case.pathology is Pathology.MALIGNANT
            seen.append(Seen(np.asarray(arrays[what], np.float16), malignant, origin_of(case)))
    return seen


def start_from(network: MedSamMlp, start: Path) -> None:
    """Loads a whole network of this kind, or only MedSAM (LiteMedSAM).

    Raises:
        StartError: the weights are neither.
    """
    weights = read_start(start)
    whole = any(name.startswith("mlp.") for name in weights)
    try:
        if whole:
            network.load_state_dict({name: tensor.float() for name, tensor in weights.items()})
        else:
            network.sam.start_from(weights)
    except RuntimeError as error:
        raise StartError(f"{start} does not fit this network: {error}.") from error
