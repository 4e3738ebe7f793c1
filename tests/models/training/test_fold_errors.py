from pathlib import Path

import pytest
import torch
from drawn_cases import drawn_case

from models.datasets.case import Cases, DatasetError, Pathology
from models.training.ablation import contend, make_folds
from models.training.kinds import recipe_of
from models.training.runs import train_folds

CPU = torch.device("cpu")
ALL_BENIGN = Cases(tuple(drawn_case(number, Pathology.BENIGN) for number in range(12)), ())


def test_a_training_that_fails_reports_its_fold(tmp_path: Path):
    recipe = recipe_of("classifier", "efficientnet-whole")
    with pytest.raises(
        DatasetError,
        match=r"^efficientnet-whole, fold 1 of 3: The training images must include malignant",
    ):
        contend([recipe], ALL_BENIGN, make_folds([recipe], ALL_BENIGN, 3), tmp_path / "a", {}, CPU, lambda *_: None)
    with pytest.raises(DatasetError, match=r"^fold 1 of 3: The training images must include malignant"):
        train_folds(recipe, ALL_BENIGN, 3, tmp_path / "b", None, CPU, lambda *_: None)
