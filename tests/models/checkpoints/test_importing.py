"""A published checkpoint is imported completely, or refused with the file, the cause and the cure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner
from typer.testing import Result as Ran

from models.bundles.bundle import read_bundle, verify
from models.bundles.writing import stored
from models.catalog import ARCHITECTURES
from models.checkpoints.importing import ImportRefused, import_checkpoint
from models.checkpoints.known import OFFICIAL
from models.detectors.yolov8 import build
from models.errors import UserError
from node.cli.models_command import models


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def command() -> Callable[..., Ran]:
    def run(*arguments: object) -> Ran:
        return CliRunner().invoke(models, [str(argument) for argument in arguments])

    return run


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """A YOLOv8n for two classes, as a state dict."""
    torch.manual_seed(0)
    path = tmp_path / "mine.pt"
    torch.save(build("n", "none", ()).state_dict(), path)
    return path


def sha256_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_checkpoint_with_a_given_digest_is_imported_as_a_part(
    checkpoint: Path, tmp_path: Path, command: Callable[..., Ran]
) -> None:
    out = tmp_path / "bundle"
    arguments = ["import", checkpoint, "--as", "yolov8n", "--out", out, "--sha256", sha256_of(checkpoint)]
    ran = command(*arguments)
    assert ran.exit_code == 0, ran.output
    assert "detector: yolov8 (scale n" in ran.output
    assert "Research use only" in ran.output
    bundle = read_bundle(out)
    assert verify(bundle) == []
    assert bundle.id.version.count("+") == 1
    verified = command("verify", out)
    assert verified.exit_code == 0
    assert "all weights are complete and load" in verified.output


def test_a_file_without_a_known_digest_is_refused_until_its_digest_is_given(checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(ImportRefused, match=rf"mine\.pt: no digest of yolov8n.*--sha256 {sha256_of(checkpoint)}"):
        import_checkpoint(checkpoint, "yolov8n", tmp_path / "bundle")


def test_another_file_than_the_published_one_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    for name, algorithm in (("sam-vit-b", "SHA-256"), ("medsam-vit-b", "MD5")):
        with pytest.raises(
            ImportRefused, match=rf"mine\.pt: {algorithm} is .*, not {OFFICIAL[name].digest}.*again from"
        ):
            import_checkpoint(checkpoint, name, tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


def test_a_truncated_file_is_refused_with_its_name(checkpoint: Path, tmp_path: Path) -> None:
    whole = sha256_of(checkpoint)
    checkpoint.write_bytes(checkpoint.read_bytes()[:-1000])
    with pytest.raises(ImportRefused, match=r"mine\.pt: SHA-256 is .*truncated"):
        import_checkpoint(checkpoint, "yolov8n", tmp_path / "bundle", sha256=whole)
    with pytest.raises(ImportRefused, match=r"mine\.pt: is damaged or not a checkpoint.*Get it again"):
        import_checkpoint(checkpoint, "yolov8n", tmp_path / "bundle", sha256=sha256_of(checkpoint))


def test_weights_of_another_network_are_refused_with_the_tensors_that_do_not_fit(
    checkpoint: Path, tmp_path: Path
) -> None:
    vouched = sha256_of(checkpoint)
    with pytest.raises(ImportRefused, match=r"mine\.pt: its weights are not those of yolov8s: .*--as"):
        import_checkpoint(checkpoint, "yolov8s", tmp_path / "bundle", sha256=vouched)
    with pytest.raises(ImportRefused, match=r"mine\.pt: its weights are not those of lite-medsam"):
        import_checkpoint(checkpoint, "lite-medsam", tmp_path / "bundle", sha256=vouched)


def test_a_checkpoint_that_would_run_code_is_refused(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[Path]]:
            return Path.touch, (tmp_path / "sprung",)

    path = tmp_path / "trap.pt"
    torch.save({"weight": Trap()}, path)
    with pytest.raises(ImportRefused, match="nothing but named tensors is read"):
        import_checkpoint(path, "yolov8n", tmp_path / "bundle", sha256=sha256_of(path))
    assert not (tmp_path / "sprung").exists()


def test_a_missing_file_or_unknown_name_ends_the_command_with_the_valid_choices(
    checkpoint: Path, tmp_path: Path, command: Callable[..., Ran]
) -> None:
    ended = command("import", tmp_path / "none.pth", "--as", "sam-vit-b", "--out", tmp_path / "bundle")
    assert isinstance(ended.exception, UserError)
    assert "none.pth: cannot be read" in str(ended.exception)
    ended = command("import", checkpoint, "--as", "sam-vit-z", "--out", tmp_path / "bundle")
    assert "'sam-vit-z' is not known. Give --as one of sam-vit-b" in str(ended.exception)


def test_every_checkpoint_that_can_be_imported_has_an_architecture_that_runs() -> None:
    assert {official.architecture for official in OFFICIAL.values()} <= set(ARCHITECTURES)


def test_bundles_are_listed_with_architectures_licences_and_figures(
    checkpoint: Path, tmp_path: Path, command: Callable[..., Ran]
) -> None:
    import_checkpoint(checkpoint, "yolov8n", tmp_path / "mine", sha256=sha256_of(checkpoint))
    output = command("list", tmp_path).output
    for expected in (
        "research-default ",
        "mine ",
        "segmenter: lite-medsam",
        "Apache-2.0",
        "Research use only",
        "95 % CI",
    ):
        assert expected in output
    listed = json.loads(command("list", tmp_path / "mine", "--json").output)
    assert [bundle["name"] for bundle in listed["bundles"]] == ["research-default", "mine"]
    assert listed["bundles"][1]["detector"]["settings"]["scale"] == "n"
    assert "sam-vit-h" in listed["importable"]


def test_damaged_weights_are_found_by_verify(checkpoint: Path, tmp_path: Path, command: Callable[..., Ran]) -> None:
    made = import_checkpoint(checkpoint, "yolov8n", tmp_path / "mine", sha256=sha256_of(checkpoint))
    made.detector.weights.write_bytes(b"not what it was")
    ran = command("verify", tmp_path / "mine")
    assert ran.exit_code == 1
    assert "SHA-256 is" in ran.output


def test_half_precision_keeps_norms_and_biases() -> None:
    kept = stored({"kernel": torch.ones(2, 2), "bias": torch.ones(2)}, half=True)
    assert (kept["kernel"].dtype, kept["bias"].dtype) == (torch.float16, torch.float32)
