"""What `phantom` writes and when it refuses."""

from __future__ import annotations

import json
from pathlib import Path

from models.errors import UserError


def test_phantoms_are_written_to_the_given_folder(tmp_path: Path, command):
    out = tmp_path / "phantoms"
    ran = command("phantom", "--studies", 1, "--seed", 2, "--spacing-mm", 0.5, "--lesions", 1, "--out", out)
    assert ran.exit_code == 0, ran.output
    assert "say nothing about clinical performance" in ran.stdout
    assert len(list(out.glob("studies/PHANTOM-2-0001/*.dcm"))) == 4
    truth = json.loads((out / "truth" / "PHANTOM-2-0001" / "truth.json").read_text())
    assert all(image["lesions"] for image in truth["images"])


def test_a_folder_of_other_files_is_refused_and_left_unchanged(tmp_path: Path, command):
    (tmp_path / "thesis.txt").write_text("years of work")
    ran = command("phantom", "--studies", 1, "--out", tmp_path)
    assert isinstance(ran.exception, UserError)
    assert f"{tmp_path} holds something else than phantoms" in str(ran.exception)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_other_options_in_the_same_folder_are_refused(tmp_path: Path, command):
    options = ("phantom", "--studies", 1, "--spacing-mm", 0.5, "--out", tmp_path / "phantoms")
    assert command(*options).exit_code == 0
    ran = command(*options, "--lesions", 0.9)
    assert isinstance(ran.exception, UserError)
    assert "made with other options" in str(ran.exception)
    assert command(*options).exit_code == 0


def test_help_states_what_phantoms_must_not_be_used_for(command):
    output = " ".join(command("phantom", "--help").stdout.split())
    assert "say nothing about clinical performance" in output
