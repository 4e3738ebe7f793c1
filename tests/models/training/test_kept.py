"""Frames and embeddings are made once, kept on the disk, and give the same weights as those in main memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from drawn_cases import drawn_case, drawn_cases

from models.datasets.case import Case, Cases, Lesion, Pathology
from models.training.ablation import contend, make_folds
from models.training.kept import IN_MEMORY, Kept, KeptError
from models.training.kinds import KINDS
from models.training.parts import fit_part
from models.training.recipe import CalibrationRecipe, FitRecipe, Recipe, SplitRecipe
from models.types.mammogram import Mammogram
from models.types.reading import FindingKind
from models.types.region import Box, Mask

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")
SMALL = {"kind": "efficientnet", "backbone": "test_efficientnet", "image_px": 64, "frame_px": 64}
LITE = {"kind": "medsam-mlp", "encoder": "lite-medsam"}
TURNED = {"batch": 2, "augmentation": "turn-and-flip"}
RECIPES: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "detector": ("detector", {"scale": "n", "attention": "none", "input_px": 96}, {"batch": 2}),
    "detector-at-a-scale": ("detector", {"scale": "n", "input_px": 64, "mm_per_px": 1.0}, {"batch": 2}),
    "grains": ("calcifications", {"channels": [4, 4, 4]}, {"batch": 2, "patch_px": 64, "patches": 4}),
    "embedded": ("segmenter", {"architecture": "lite-medsam"}, {"views": 1, "batch": 2}),
    "greys": (
        "segmenter",
        {"architecture": "lite-medsam"},
        {"views": 1, "batch": 2, "trained": ["image_encoder", "mask_decoder"]},
    ),
    "mask": ("classifier", {**SMALL, "mode": "mask"}, {**TURNED, "normal_pieces": True}),
    "both-at-a-scale": (
        "classifier",
        {**SMALL, "mode": "both", "mm_per_px": 1.0},
        {**TURNED, "normal_pieces": True, "balanced": True},
    ),
    "radiomics": ("classifier", {**SMALL, "mode": "whole+radiomics"}, TURNED),
    "frozen": ("classifier", {**LITE, "tuned": "frozen", "reads": "embedding"}, {"batch": 2}),
    "decoder": ("classifier", {**LITE, "tuned": "decoder", "reads": "tokens"}, {"batch": 2}),
}


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def _recipe(name: str) -> Recipe:
    kind, model, task = RECIPES[name]
    tables = KINDS[kind]()
    return Recipe(
        name=name,
        kind=kind,
        split=SplitRecipe(),
        fit=FitRecipe(epochs=1, learning_rate=1e-3),
        model=tables.model.model_validate(model),
        task=tables.settings.model_validate(task),
        calibration=CalibrationRecipe(method="none"),
    )


def _fine(number: int, specks: bool) -> Case:
    """A breast of 60 × 40 mm at 0.1 mm a pixel, with a drawn cluster or without a lesion."""
    y, x = np.mgrid[:600, :400]
    grain = 0.02 * np.random.default_rng(number).standard_normal((600, 400), dtype=np.float32)
    tissue = cv2.GaussianBlur(0.5 + grain, (0, 0), 1.0)
    pixels = np.where(((y - 300) / 270) ** 2 + (x / 380) ** 2 < 1, tissue, 0).astype(np.float32)
    box = Box(250, 100, 310, 160)
    drawn = Lesion(Mask(box, np.ones((60, 60), dtype=np.bool_)), True, FindingKind.CALCIFICATION)
    return replace(
        drawn_case(number, Pathology.NORMAL),
        kinds=frozenset({FindingKind.CALCIFICATION}) if specks else frozenset(),
        read=lambda: Mammogram(pixels, (0.1, 0.1)),
        read_lesions=lambda _: (drawn,) if specks else (),
    )


def _images(name: str) -> tuple[list[Case], list[Case]]:
    """To train on, and to validate by."""
    if name == "grains":
        return [_fine(0, False), _fine(1, False)], [_fine(2, True)]
    if RECIPES[name][0] == "segmenter":  # seconds for each image
        return drawn_cases(1), drawn_cases(1, first=10)
    if "lite-medsam" in RECIPES[name][1].values():
        return drawn_cases(2), drawn_cases(2, first=10)
    normal = drawn_case(50, Pathology.NORMAL, lesion=False)
    return [*drawn_cases(4), normal], drawn_cases(3, first=10)


def _weights(name: str, images: tuple[Sequence[Case], Sequence[Case]], folder: Path, kept: Kept) -> dict[str, bytes]:
    fitted = fit_part(_recipe(name), *images, None, folder, CPU, lambda *_: None, "", kept)
    return {key: tensor.numpy().tobytes() for key, tensor in fitted.weights.items()}


def _unreadable(cases: Sequence[Case]) -> list[Case]:
    def never() -> Mammogram:
        raise AssertionError("it is read again")

    return [replace(case, read=never) for case in cases]


@pytest.mark.parametrize("name", RECIPES)
def test_what_is_kept_on_the_disk_gives_the_weights_of_what_stays_in_memory_bit_for_bit(
    name: str, tmp_path: Path
) -> None:
    train, validation = _images(name)
    kept = Kept(tmp_path / "kept", "this recipe")
    in_memory = _weights(name, (train, validation), tmp_path / "memory", IN_MEMORY)
    assert _weights(name, (train, validation), tmp_path / "first", kept) == in_memory
    files = sorted((tmp_path / "kept").iterdir())
    written = [path.stat().st_mtime_ns for path in files]

    files[0].unlink()  # as after a kill: this one was not made yet
    assert _weights(name, (train, validation), tmp_path / "again", kept) == in_memory
    assert sorted((tmp_path / "kept").iterdir()) == files
    assert [path.stat().st_mtime_ns for path in files[1:]] == written[1:]


@pytest.mark.parametrize("name", ["detector", "mask", "both-at-a-scale", "radiomics", "frozen"])
def test_an_image_is_read_once(name: str, tmp_path: Path) -> None:
    """Of a segmenter's images only the embeddings are kept: what is drawn at random depends on the images before."""
    train, validation = _images(name)
    kept = Kept(tmp_path / "kept")
    first = _weights(name, (train, validation), tmp_path / "first", kept)
    unreadable = _unreadable(train), _unreadable(validation)
    assert _weights(name, unreadable, tmp_path / "again", kept) == first


def test_the_folds_of_a_study_share_what_is_kept(tmp_path: Path) -> None:
    cases = Cases(tuple(drawn_cases(9)), ())
    recipe = _recipe("mask")
    contend([recipe], cases, make_folds([recipe], cases, 3), tmp_path, {}, CPU, lambda *_: None)
    assert len(list((tmp_path / "mask" / "kept").iterdir())) == len(cases.cases)


def test_another_recipe_or_other_start_weights_have_files_of_their_own(tmp_path: Path) -> None:
    for made_by, value in (("one", 1), ("other", 2), ("one", 3)):
        kept = Kept(tmp_path, made_by)
        found = kept.of("image", lambda value=value: {"value": np.array([value])})  # type: ignore[misc]
        assert int(found["value"][0]) == {"one": 1, "other": 2}[made_by]


def test_a_damaged_file_is_named_with_the_cure(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    kept.of("image", lambda: {"value": np.zeros(3)})
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:20])
    with pytest.raises(KeptError, match=f"{path.name}.*Delete it and start again"):
        kept.of("image", lambda: {"value": np.zeros(3)})
