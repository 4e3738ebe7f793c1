"""Trains the detector of microcalcification clusters on real breasts with simulated clusters.

Every image without a lesion is a background; clusters are drawn anew for each patch
(`models.phantom.microcalcifications`). The validation images are those of the set `simulated-clusters`, or any whose
calcifications are drawn, and are read as the node reads them.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, cast

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from models.anatomy.film import with_spacing
from models.checkpoints.reading import read_start
from models.datasets.case import Case, DatasetError
from models.detectors.grain_net import STRIDE, GrainNet
from models.detectors.grains import GrainDetector, shows_calcifications
from models.measures.detection import ImageResult, froc_score, match, sensitivity, threshold
from models.runner import Runner
from models.training.batching import made_ahead
from models.training.calcifications.patches import Background, Patch, backgrounds, patch_of
from models.training.kept import IN_MEMORY, Kept
from models.training.recipe import Chance, FitRecipe, Recipe, RecipeTable
from models.training.start import take_start
from models.training.task import groups_by_decay
from models.types.mammogram import Mammogram
from models.types.reading import FindingKind
from models.types.region import Box

_MEASURED_FROM = 0.02
"""The validation measures use all clusters of at least this confidence."""
_MOST = 50
_SMOOTH = 1.0

Batch = tuple[Tensor, Tensor]
PatchSide = Annotated[int, Field(ge=32, multiple_of=STRIDE)]


class Model(RecipeTable):
    """The network and its scale.

    Attributes:
        channels: of the network's three levels.
        mm_per_px: the scale at which it looks.
        coarsest_mm: images with a larger spacing are not looked at, nor learned from; nor are scanned films.
    """

    channels: tuple[int, int, int] = (16, 32, 48)
    mm_per_px: float = Field(default=0.1, gt=0)
    coarsest_mm: float = Field(default=0.15, gt=0)


class TaskSettings(RecipeTable):
    """Patches and loss of the training; and the detector's settings at inference.

    Attributes:
        batch: patches per step.
        patch_px: side of a patch.
        patches: per epoch.
        with_cluster: share of the patches with a cluster; the others are shams.
        grain: the least sureness of a grain at inference.
        fewest: grains of a cluster, within one square centimetre.
        false_positives: `confidence` is the lowest one with at most this many false clusters per validation image.
        most: the maximum number of clusters that the node proposes per image.
        assumed_spacing_mm: of digital images without a spacing (models/anatomy/film.py).
    """

    batch: int = Field(default=16, ge=1)
    patch_px: PatchSide = 192
    patches: int = Field(default=512, ge=1)
    with_cluster: Chance = 0.5
    grain: Chance = 0.3
    fewest: int = Field(default=5, ge=2)
    false_positives: float = Field(default=0.5, ge=0)
    most: int = Field(default=10, ge=1)
    assumed_spacing_mm: float = Field(default=0.1, gt=0)


class MarkingGrains:
    """The `models.training.task.Task` of the detector of microcalcifications."""

    figure = "froc"

    def __init__(
        self,
        network: nn.Module,
        model: Model,
        task: TaskSettings,
        fit: FitRecipe,
        training: Sequence[Background],
        validation: Sequence[tuple[str, Mammogram, tuple[Box, ...]]],
    ) -> None:
        self.network = network
        self._model, self._task, self._fit = model, task, fit
        self._training, self._validation = training, validation

    def parameter_groups(self) -> list[dict[str, Any]]:
        return groups_by_decay(self.network)

    def steps(self) -> int:
        return -(-self._task.patches // self._task.batch)

    def batches(self, epoch: int) -> Iterator[Batch]:
        """See the protocol. Patches are made in threads, one batch ahead, each with its own random generator."""
        task = self._task

        def patch(number: int) -> Patch:
            draw = np.random.default_rng((self._fit.seed, epoch, number))
            background = self._training[int(draw.integers(len(self._training)))]
            return patch_of(background, task.patch_px, bool(draw.random() < task.with_cluster), draw)

        yield from map(_tensors, made_ahead(patch, range(task.patches), task.batch))

    def loss(self, network: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        """10 × the mean binary cross-entropy of the pixels, and 1 − Dice of the whole batch: few pixels are grains."""
        device = next(network.parameters()).device
        channels, grains = (tensor.to(device) for tensor in batch)
        logits = network(channels.contiguous(memory_format=torch.channels_last))
        with torch.autocast(device.type, enabled=False):
            logits = logits.float()
            entropy = 10 * nn.functional.binary_cross_entropy_with_logits(logits, grains)
            marked = torch.sigmoid(logits)
            both = 2 * (marked * grains).sum() + _SMOOTH
            dice = 1 - both / (marked.sum() + grains.sum() + _SMOOTH)
        return entropy + dice, {"entropy": entropy.item(), "dice": dice.item()}

    def validate(self, network: nn.Module) -> dict[str, float]:
        """ "froc": the mean sensitivity at 1/4, 1/2, 1, 2 and 4 false clusters per image; and that at 0.5."""
        results = self._results(network)
        return {"froc": froc_score(results), "sensitivity at 0.5": sensitivity(results, 0.5)}

    def chosen(self, network: nn.Module) -> dict[str, Any]:
        """The confidence with at most `false_positives` false clusters per validation image, in thousandths."""
        least = threshold(self._results(network), self._task.false_positives)
        return {"confidence": min(0.999, math.floor(max(least, _MEASURED_FROM) * 1000 + 1) / 1000)}

    def _results(self, network: nn.Module) -> list[ImageResult]:
        detector = GrainDetector(
            cast(GrainNet, copy.deepcopy(network)),
            Runner.on(next(network.parameters()).device, self._fit.mixed_precision),
            mm_per_px=self._model.mm_per_px,
            coarsest_mm=self._model.coarsest_mm,
            grain=self._task.grain,
            fewest=self._task.fewest,
            confidence=_MEASURED_FROM,
            most=_MOST,
        )
        results = []
        for patient, image, lesions in self._validation:
            (found,) = detector.detect([image])
            proposals = match([(each.box, each.confidence) for each in found], lesions)
            results.append(ImageResult(patient, len(lesions), proposals))
        return results


def prepare(
    recipe: Recipe,
    train: Sequence[Case],
    validation: Sequence[Case],
    start: Path | None,
    device: torch.device,
    kept: Kept = IN_MEMORY,
) -> MarkingGrains:
    """Reads the breasts and builds the network.

    Args:
        recipe: with `Model` and `TaskSettings` as its tables.
        train: images to learn from; of these, the ones without a lesion are used.
        validation: images to be judged by: those whose calcifications are drawn, and those without a lesion.
        start: weights to start from; None for random ones.
        device: where it will be trained.
        kept: holds the breasts and the validation images.

    Raises:
        DatasetError: a case cannot be read, no image can be learned from, or no validation image has a calcification.
        StartError: the start weights cannot be read or do not fit.
    """
    model: Model = recipe.model
    task: TaskSettings = recipe.task
    torch.manual_seed(recipe.fit.seed)
    network = GrainNet(model.channels)
    if start is not None:
        take_start(network, read_start(start), start)
    workers = torch.get_num_threads()

    def fine_enough(image: Mammogram) -> bool:
        return shows_calcifications(image, model.coarsest_mm)

    training = backgrounds(train, model.mm_per_px, fine_enough, task.assumed_spacing_mm, workers, kept)
    if not training:
        raise DatasetError(
            f"None of the {len(train)} training images is a digital one of a breast without a lesion, with "
            f"pixels of up to {model.coarsest_mm:g} mm. Add images of normal breasts at native resolution."
        )
    judged = [
        (case.patient, _mapped(image, case, kept), tuple(lesion.mask.box for lesion in case.read_lesions(image)))
        for case in validation
        if case.marked_up and case.kinds <= {FindingKind.CALCIFICATION}
        for image in (with_spacing(case.read(), task.assumed_spacing_mm),)
    ]
    if not any(lesions for _, _, lesions in judged):
        raise DatasetError(
            f"None of the {len(validation)} validation images shows a calcification. "
            "Add the set simulated-clusters, or split otherwise."
        )
    return MarkingGrains(network, model, task, recipe.fit, training, judged)


def _mapped(image: Mammogram, case: Case, kept: Kept) -> Mammogram:
    """The image, its pixels from the disk."""
    arrays = kept.of(f"validation/{case.dataset}/{case.name}", lambda: {"pixels": image.pixels})
    return replace(image, pixels=np.asarray(arrays["pixels"], np.float32))


def part(network: nn.Module, recipe: Recipe) -> tuple[str, dict[str, Any]]:
    """The architecture's name and settings, as bundle.toml has them."""
    model: Model = recipe.model
    task: TaskSettings = recipe.task
    return "grains", {
        **model.model_dump(mode="json"),
        **task.model_dump(mode="json", include={"grain", "fewest", "most"}),
    }


def _tensors(batch: Sequence[Patch]) -> Batch:
    channels = torch.from_numpy(np.stack([patch.channels for patch in batch]))
    return channels, torch.from_numpy(np.stack([patch.grains for patch in batch])).float()
