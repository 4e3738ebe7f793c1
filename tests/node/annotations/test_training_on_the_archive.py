"""Corrections by experts train the next segmenter."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from annotating import segmentation
from narrow_networks import narrow_lite_medsam
from phantoms import WrittenPhantoms
from pydicom import dcmread
from road import Road
from typer.testing import CliRunner, Result

from dicom_io.case_reader import CaseReader
from models.bundles.bundle import read_bundle
from models.errors import UserError
from node.cli.train import train

pytestmark = pytest.mark.slow

RECIPE = """
kind = "segmenter"
[split]
test = 0.3
validation = 0.3
[fit]
epochs = 1
learning_rate = 1e-4
[task]
batch = 4
views = 1
"""


@pytest.fixture
def corrected_archive(phantom_set: WrittenPhantoms, tmp_path: Path) -> Path:
    """The settings file of a node that has read phantoms, whose lesions an expert then drew."""
    torch.set_num_threads(1)
    road = Road(tmp_path / "data")
    for truth in [entry for entry in phantom_set.truths if any(image.lesions for image in entry.images)][:5]:
        files = {image.file: phantom_set.folder / image.file for image in truth.images}
        road.all_of_it(*files.values())
        for image in truth.images:
            if image.lesions:
                source = dcmread(files[image.file])
                shape = (source.Rows, source.Columns)
                segments = CaseReader().segments(phantom_set.folder / str(image.segmentation), shape)
                road.receive(segmentation({f"{label} mass": mask.full(shape) for label, mask in segments}, source))
    settings = tmp_path / "node.toml"
    settings.write_text(f'data_dir = "{road.data_dir}"\n')
    return settings


def test_a_segmenter_is_trained_on_what_experts_corrected(
    corrected_archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    narrow_lite_medsam(monkeypatch)
    ran = _train(corrected_archive, tmp_path)
    assert ran.exit_code == 0, ran.output
    assert "5 patients" in ran.output
    bundle = read_bundle(tmp_path / "bundle")
    assert "archive" in bundle.segmenter.training_data
    assert "PHANTOM" not in ran.output + (tmp_path / "bundle/training/segmenter/split.json").read_text()


def test_training_on_an_archive_without_corrections_is_refused(tmp_path: Path) -> None:
    Road(tmp_path / "data")
    settings = tmp_path / "node.toml"
    settings.write_text(f'data_dir = "{tmp_path / "data"}"\n')
    ran = _train(settings, tmp_path)
    assert isinstance(ran.exception, UserError)
    assert "orrect" in str(ran.exception)


def _train(settings: Path, folder: Path) -> Result:
    recipe = folder / "small.toml"
    recipe.write_text(RECIPE)
    arguments = ["--recipe", recipe, "--data", "archive", "--config", settings, "--out", folder / "bundle"]
    return CliRunner().invoke(train, ["segmenter", *map(str, arguments), "--device", "cpu"])
