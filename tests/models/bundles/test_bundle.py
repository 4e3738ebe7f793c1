"""A bundle is used as shipped, or refused with the file, the cause and the cure."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from models.bundles.bundle import BundleError, find_bundle, read_bundle, shipped, verify
from models.catalog import ARCHITECTURES, load_pipeline
from models.device import NoSuchDevice, choose_device

CARD = """
name = "mine"
version = "2.1"
licence = "CC0-1.0"
intended_use = "Research use only, not for diagnosis."
training_data = "None."
assumed_spacing_mm = 0.1
[detector]
architecture = "yolov8"
weights = "detector.safetensors"
sha256 = "{sha256}"
settings = {{ input_px = 320 }}
[segmenter]
architecture = "lite-medsam"
weights = "segmenter.safetensors"
sha256 = "{sha256}"
[classifier]
architecture = "efficientnet"
weights = "classifier.safetensors"
sha256 = "{sha256}"
[figures]
froc = 0.5
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A bundle with weights that belong to no network."""
    for role in ("detector", "segmenter", "classifier"):
        save_file({"nothing": torch.zeros(2)}, tmp_path / f"{role}.safetensors")
    sha256 = hashlib.sha256((tmp_path / "detector.safetensors").read_bytes()).hexdigest()
    (tmp_path / "bundle.toml").write_text(CARD.format(sha256=sha256))
    return tmp_path


def test_the_shipped_bundle_is_found_by_its_name() -> None:
    bundle = read_bundle(find_bundle("research-default"))
    assert shipped() == ["research-default"]
    assert str(bundle.id).startswith("research-default ")
    assert bundle.intended_use == "Research use only, not for diagnosis."
    assert all(part.architecture in ARCHITECTURES for part in bundle.parts.values())


def test_another_bundle_is_found_by_its_path(folder: Path) -> None:
    bundle = read_bundle(find_bundle(str(folder)))
    assert str(bundle.id) == "mine 2.1"
    assert bundle.detector.settings == {"input_px": 320}
    assert bundle.segmenter.settings == {}
    assert bundle.figures == {"froc": 0.5}
    assert verify(bundle) == []


def test_an_unknown_bundle_name_is_reported_with_the_shipped_bundles() -> None:
    with pytest.raises(BundleError, match=r"nowhere: no shipped bundle .* Shipped: .*research-default"):
        find_bundle("nowhere")


@pytest.mark.parametrize(
    ("change", "to", "expected"),
    [
        ('name = "mine"', "", "name is missing"),
        ("assumed_spacing_mm = 0.1", "assumed_spacing_mm = 0", "assumed_spacing_mm is 0"),
        ("assumed_spacing_mm = 0.1", "assumed_spacing_mm = nan", "assumed_spacing_mm is nan"),
        ("assumed_spacing_mm = 0.1", "assumed_spacing_mm = true", "assumed_spacing_mm is True"),
        ('architecture = "lite-medsam"', "architecture = 3", "segmenter.architecture is 3"),
        ("[classifier]", "[klassifier]", "classifier is missing"),
        ('weights = "detector.safetensors"', 'weights = "../detector.safetensors"', "bundle's own folder"),
        ('name = "mine"', "name = mine", "is not TOML"),
    ],
)
def test_a_faulty_card_is_reported_with_its_fault(folder: Path, change: str, to: str, expected: str) -> None:
    card = folder / "bundle.toml"
    card.write_text(card.read_text().replace(change, to))
    with pytest.raises(BundleError, match=expected) as caught:
        read_bundle(folder)
    assert str(card) in str(caught.value)


@pytest.mark.parametrize(
    ("change", "to", "expected"),
    [
        ("slope = [1.0]", "slope = [-1.0]", "slope is below 0"),
        ("slope = [1.0]", "slope = [nan]", "not all numbers"),
        ("slope = [1.0]", "slope = 1.0", "not iterable"),
        ("prevalence = 0.3", "prevalence = 1.5", "prevalence must be between 0 and 1"),
        ("patients = 5", "patients = 5\nnormals = 1.5", "normals, a share, must be between 0 and 1"),
        ("patients = 5", "patients = 5\ncomposed = 1", "composed must be true or false"),
        ("cases = 10", "cases = 0.5", "number of cases or patients is below 1"),
        ("patients = 5", "patients = inf", "calibration.image.patients is inf"),
    ],
)
def test_an_invalid_calibration_is_reported_with_its_file(folder: Path, change: str, to: str, expected: str) -> None:
    card = folder / "bundle.toml"
    table = '[calibration.image]\nmethod = "temperature"\nprevalence = 0.3\ncases = 10\npatients = 5\n'
    text = card.read_text() + table + "parameters = { slope = [1.0] }\n"
    card.write_text(text)
    assert read_bundle(folder).calibration
    card.write_text(text.replace(change, to))
    with pytest.raises(BundleError, match=expected) as caught:
        read_bundle(folder)
    assert f"{card}: calibration.image" in str(caught.value)


def test_a_folder_without_a_card_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="cannot be read"):
        read_bundle(tmp_path)


def test_damaged_and_missing_weights_are_found(folder: Path) -> None:
    (folder / "segmenter.safetensors").unlink()
    damaged = bytearray((folder / "classifier.safetensors").read_bytes())
    damaged[-1] ^= 1
    (folder / "classifier.safetensors").write_bytes(damaged)
    missing, changed = verify(read_bundle(folder))
    assert "segmenter.safetensors: cannot be read" in missing
    assert "classifier.safetensors: SHA-256 is" in changed


def test_damaged_weights_are_never_loaded(folder: Path) -> None:
    (folder / "detector.safetensors").write_bytes(b"not what it was")
    with pytest.raises(BundleError, match="SHA-256"):
        load_pipeline(read_bundle(folder), torch.device("cpu"), mixed_precision=False)


def test_weights_of_another_network_are_refused_with_the_file_name(folder: Path) -> None:
    with pytest.raises(BundleError, match=r"safetensors: does not load as"):
        load_pipeline(read_bundle(folder), torch.device("cpu"), mixed_precision=False)


def test_an_unknown_architecture_is_reported_with_the_known_ones(folder: Path) -> None:
    card = folder / "bundle.toml"
    card.write_text(card.read_text().replace("yolov8", "yolov99"))
    with pytest.raises(BundleError, match=r"'yolov99' is unknown. Known: .*lite-medsam"):
        load_pipeline(read_bundle(folder), torch.device("cpu"), mixed_precision=False)


def test_weights_are_checked_without_torch() -> None:
    code = (
        "import sys; from models.bundles.bundle import *; verify(read_bundle(find_bundle('research-default'))); "
        "import models.readings.exam, models.pipeline, models.readings.reading_json; "
        "import models.readings.overlay; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_auto_selects_an_available_device_and_a_missing_gpu_is_reported() -> None:
    assert choose_device("cpu") == torch.device("cpu")
    assert choose_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    with pytest.raises(NoSuchDevice, match=r"reader\.device"):
        choose_device("cuda:99")
