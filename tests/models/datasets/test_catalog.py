"""`--data NAME:FOLDER` opens data sets."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest

from dicom_io.case_reader import CaseReader
from models.datasets.case import DatasetError
from models.datasets.catalog import DATASETS, open_data
from node.cli.terminal.cases import Data


def test_several_data_sets_are_joined_and_their_patients_stay_distinct(cbis: Path, vindr: Path) -> None:
    found = open_data([f"cbis-ddsm:{cbis}", f"vindr-mammo:{vindr}"], CaseReader())
    assert {image.dataset for image in found.cases} == {"cbis-ddsm", "vindr-mammo"}
    assert all(patient.startswith(f"{image.dataset}/") for image in found.cases for patient in image.patients)
    assert len({image.name for image in found.cases}) == len(found.cases) == 8


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("ddsm:/data", "'ddsm:/data' names no data set.*cbis-ddsm"),
        ("cbis-ddsm", "Give NAME:FOLDER"),
        ("cbis-ddsm:/nowhere/at/all", "/nowhere/at/all is not a folder.*into which you downloaded cbis-ddsm"),
        ("phantom:/nowhere", "/nowhere is not a folder.*that `mammo-node phantom --out` wrote"),
        ("archive:/nowhere", "/nowhere is not a folder.*that `mammo-node annotations export`"),
        ("nnunet:/nowhere", "/nowhere is not a folder.*with your own images"),
        ("simulated-clusters:/nowhere", "/nowhere is not a folder.*into which you downloaded cdd-cesm"),
    ],
)
def test_a_wrong_data_option_is_refused_and_the_message_says_what_to_give(spec: str, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        open_data([spec], CaseReader())


def test_no_data_set_and_a_data_set_given_twice_are_refused(vindr: Path) -> None:
    with pytest.raises(DatasetError, match="No data set is given"):
        open_data([], CaseReader())
    with pytest.raises(DatasetError, match="Two images are named i1"):
        open_data([f"vindr-mammo:{vindr}"] * 2, CaseReader())


@pytest.mark.parametrize("name", DATASETS)
def test_every_data_set_is_named_in_the_help_and_described_on_its_page(name: str) -> None:
    _, option = get_args(Data)
    assert re.search(rf"\b{name}\b", option.help)
    assert f"| `{name}` |" in (Path(__file__).parents[3] / "docs" / "data.md").read_text(encoding="utf-8")
