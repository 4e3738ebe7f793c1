"""The calcification detector learns from simulated clusters, and only from their grains."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from models.datasets.case import Case, DatasetError, Lesion
from models.detectors.grains import shows_calcifications
from models.training.calcifications.patches import Background, backgrounds, patch_of
from models.training.calcifications.task import MarkingGrains, Model, TaskSettings, part, prepare
from models.training.recipe import CalibrationRecipe, FitRecipe, Recipe, SplitRecipe
from models.types.mammogram import Mammogram
from models.types.reading import FindingKind
from models.types.region import Box, Mask

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")
SHAPE = (1000, 700)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def breast(seed: int) -> NDArray[np.float32]:
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    inside = ((y - 500) / 460) ** 2 + (x / 600) ** 2 < 1
    draw = np.random.default_rng(seed)
    tissue = cv2.GaussianBlur(draw.standard_normal(SHAPE, dtype=np.float32), (0, 0), 25) * 4
    noise = 0.01 * draw.standard_normal(SHAPE, dtype=np.float32)
    return np.where(inside, np.clip(0.4 + tissue + noise, 0.05, 0.95), 0.0).astype(np.float32)


def fine_enough(image: Mammogram) -> bool:
    return shows_calcifications(image, 0.15)


def case(number: int, lesion: FindingKind | None = None, spacing: float = 0.1, film: bool | None = None) -> Case:
    pixels = breast(number)
    box = Box(400, 200, 480, 260)
    drawn = () if lesion is None else (Lesion(Mask(box, np.ones((80, 60), dtype=np.bool_)), True, lesion),)
    return Case(
        name=f"image {number}",
        dataset="drawn",
        patients=(f"patient {number}",),
        exam=None,
        laterality=None,
        view=None,
        pathology=None,
        birads=None,
        density=None,
        marked_up=True,
        label_is_fair=True,
        official=None,
        read=lambda: Mammogram(pixels, (spacing, spacing), film=film),
        read_lesions=lambda _: drawn,
        kinds=frozenset() if lesion is None else frozenset({lesion}),
    )


def recipe(**task: object) -> Recipe:
    return Recipe(
        name="small",
        kind="calcifications",
        split=SplitRecipe(),
        fit=FitRecipe(epochs=1, learning_rate=1e-3),
        model=Model(channels=(4, 4, 4)),
        task=TaskSettings.model_validate({"batch": 2, "patch_px": 64, "patches": 4, **task}),
        calibration=CalibrationRecipe(),
    )


@pytest.fixture(scope="module")
def background() -> Background:
    (found,) = backgrounds([case(0)], 0.1, fine_enough, 0.1, 1)
    return found


def test_a_patch_with_a_cluster_has_grains_and_a_sham_has_none(background: Background) -> None:
    for seed in range(8):
        for with_cluster in (True, False):
            patch = patch_of(background, 96, with_cluster, np.random.default_rng(seed))
            assert patch.channels.shape == (2, 96, 96)
            assert patch.grains.shape == (96, 96)
            assert bool(patch.grains.any()) == with_cluster


def test_grains_are_brighter_at_their_marks(background: Background) -> None:
    patches = [patch_of(background, 96, True, np.random.default_rng(seed)) for seed in range(12)]
    inside = np.concatenate([patch.channels[0][patch.grains] for patch in patches])
    outside = np.concatenate([patch.channels[0][~patch.grains] for patch in patches])
    assert inside.mean() > 3 * np.abs(outside).mean()


def test_only_images_with_small_pixels_and_without_lesions_are_backgrounds() -> None:
    """A scanned film is none either: the detector does not look at it."""
    cases = [case(0), case(1, FindingKind.MASS), case(2, spacing=0.3), case(3, film=True)]
    assert len(backgrounds(cases, 0.1, fine_enough, 0.1, 1)) == 1


def test_the_same_seed_and_epoch_give_the_same_batches_and_the_loss_falls() -> None:
    task = prepare(recipe(), [case(0)], [case(1, FindingKind.CALCIFICATION)], None, CPU)
    first, again, other = (list(task.batches(epoch)) for epoch in (0, 0, 1))
    assert task.steps() == len(first) == 2
    assert all(
        torch.equal(a, b)
        for batch, repeated in zip(first, again, strict=True)
        for a, b in zip(batch, repeated, strict=True)
    )
    assert not torch.equal(first[0][0], other[0][0])
    steps = torch.optim.Adam(task.network.parameters(), 1e-2)
    losses = []
    for _ in range(12):
        loss, terms = task.loss(task.network.train(), first[0])
        steps.zero_grad()
        loss.backward()
        steps.step()
        losses.append(loss.item())
    assert terms.keys() == {"entropy", "dice"}
    assert losses[-1] < losses[0] - 0.03


def test_validation_counts_what_the_node_would_find_and_chooses_its_confidence() -> None:
    task = prepare(recipe(), [case(0)], [case(1, FindingKind.CALCIFICATION)], None, CPU)
    assert set(task.validate(task.network)) == {"froc", "sensitivity at 0.5"}
    settings = {**part(task.network, recipe())[1], **task.chosen(task.network)}
    assert 0 < settings["confidence"] < 1
    assert (settings["fewest"], settings["mm_per_px"]) == (5, 0.1)
    assert isinstance(task, MarkingGrains)


@pytest.mark.parametrize(
    ("train", "validation", "words"),
    [
        ([case(0, FindingKind.MASS)], [case(1, FindingKind.CALCIFICATION)], "breast without a lesion"),
        ([case(0)], [case(1)], "shows a calcification"),
    ],
)
def test_unusable_training_data_are_refused_with_what_to_give(
    train: list[Case], validation: list[Case], words: str
) -> None:
    with pytest.raises(DatasetError, match=words):
        prepare(recipe(), train, validation, None, CPU)
