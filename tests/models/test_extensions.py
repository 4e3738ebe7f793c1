"""A model of another package is used like the node's own."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import pytest
import tomli_w
import torch
from safetensors.torch import save_file

from models import extensions as module
from models.catalog import ARCHITECTURES, adapter_of
from models.extensions import ExtensionError, extensions, load_extension
from models.protocols import ToOutline, ToScore
from models.types.mammogram import Mammogram
from models.types.reading import FindingKind
from models.types.region import Box
from node.demo.studies import DemoStudy

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_the_package_of_the_documentation_is_installed_and_reads_a_study(
    blind_bundle: Path, mammogram_study: DemoStudy, tmp_path: Path
) -> None:
    shutil.copytree(ROOT / "docs/own_model", tmp_path / "own_model")
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*install, "--target", tmp_path / "installed", tmp_path / "own_model"], check=True)
    bundle = tmp_path / "bundle"
    shutil.copytree(blind_bundle, bundle)
    save_file({"sharpness": torch.tensor(9.0)}, bundle / "own.safetensors")
    card = tomllib.loads((bundle / "bundle.toml").read_text())
    card["detector"] |= {
        "architecture": "brightest-spot",
        "weights": "own.safetensors",
        "sha256": hashlib.sha256((bundle / "own.safetensors").read_bytes()).hexdigest(),
        "settings": {"side_px": 60},
    }
    (bundle / "bundle.toml").write_text(tomli_w.dumps(card))
    code = f"""
from node.api import Reader
(study,) = Reader({str(bundle)!r}, "cpu").read({str(mammogram_study.files[0])!r}).studies
(finding,) = study.exam.images[0].reading.findings
print(finding.box.height, finding.box.width)
"""
    path = os.pathsep.join([str(tmp_path / "installed"), str(ROOT)])
    environment = {**os.environ, "PYTHONPATH": path}
    ran = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    height, width = map(int, ran.stdout.split())
    assert 30 <= height <= 60
    assert 30 <= width <= 60


def offering(monkeypatch: pytest.MonkeyPatch, *offered: EntryPoint) -> None:
    monkeypatch.setattr(module, "entry_points", lambda group: [each for each in offered if each.group == group])


def test_a_package_s_segmenter_and_classifier_of_one_image_read_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    offering(
        monkeypatch,
        EntryPoint("boxes", "own_models:load_segmenter", "mammo_node.segmenters"),
        EntryPoint("bright", "own_models:load_classifier", "mammo_node.classifiers"),
    )
    cpu = torch.device("cpu")
    segmenter = adapter_of("boxes", {}, {}, cpu, False)
    classifier = adapter_of("bright", {}, {"factor": 0.5}, cpu, True)
    images = [Mammogram(np.full((40, 30), grey, dtype=np.float32)) for grey in (0.2, 0.6)]
    box = Box(5, 5, 20, 15)
    lesions = [[(box, FindingKind.MASS), (box, FindingKind.CALCIFICATION)], []]
    masks = segmenter.segment([ToOutline(*each) for each in zip(images, lesions, strict=True)])
    assert [[mask is not None for mask in of_image] for of_image in masks] == [[True, False], []]
    scores = classifier.classify([ToScore(images[0], masks[0][:1]), ToScore(images[1], [])])
    assert scores == [(pytest.approx(0.1), [pytest.approx(0.2)]), (pytest.approx(0.3), [])]
    assert classifier.scores_images_alone
    assert (classifier.of_one.device, classifier.of_one.mixed_precision) == (cpu, True)


def test_two_packages_of_one_name_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    offering(
        monkeypatch,
        EntryPoint("mine", "one:load", "mammo_node.detectors"),
        EntryPoint("mine", "two:load", "mammo_node.classifiers"),
    )
    with pytest.raises(ExtensionError, match="Two packages offer the architecture 'mine'"):
        extensions()


@pytest.mark.parametrize(
    "value", ["no_such_package:load", "models.extensions:no_such_function", "models.extensions:GROUPS"]
)
def test_a_package_that_does_not_fit_is_named(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    offering(monkeypatch, EntryPoint("mine", value, "mammo_node.segmenters"))
    with pytest.raises(ExtensionError, match=value):
        load_extension(extensions()["mine"])


def test_no_package_is_needed_for_the_nodes_own_architectures() -> None:
    assert not extensions().keys() & ARCHITECTURES.keys()
