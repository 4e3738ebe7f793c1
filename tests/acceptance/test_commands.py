"""The commands as a user types them, with the shipped bundle."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from node.archive.lock import only_node
from node.demo.studies import DemoStudy

pytestmark = pytest.mark.acceptance


def mammo_node(*arguments: str | Path, timeout_s: float = 600) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "node", *arguments], capture_output=True, text=True, timeout=timeout_s, check=False
    )


def test_read_writes_the_results_of_a_folder_and_reports_it(mammogram_study: DemoStudy, tmp_path: Path) -> None:
    answer = mammo_node("read", mammogram_study.folder, "--out", tmp_path, "--json")
    assert answer.returncode == 0, answer.stderr
    (study,) = json.loads(answer.stdout)["studies"]
    assert study["study_instance_uid"] == mammogram_study.study_instance_uid
    assert 0 <= study["malignancy"] <= 1
    assert len(list(Path(study["folder"]).glob("*.png"))) == 5
    assert len(list(Path(study["folder"]).glob("[0-9][0-9]-SR.dcm"))) == 1


def test_read_of_a_folder_without_a_study_reports_it(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing")
    answer = mammo_node("read", tmp_path, "--out", tmp_path / "out")
    assert answer.returncode == 2
    assert "notes.txt" in answer.stdout
    assert "no DICOM study" in answer.stderr


@pytest.mark.usefixtures("cbis_cases")
def test_the_demo_reads_two_real_exams_and_shows_them_beside_their_pathology(tmp_path: Path) -> None:
    answer = mammo_node("demo", "--out", tmp_path)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    for text in ("P_00173", "P_00820", "BI-RADS 5", "malignant", "Research use only"):
        assert text in answer.stdout
    (run,) = tmp_path.iterdir()
    assert len(list(run.glob("overlays/*/*.png"))) == 10, "four views and a summary page each"
    assert len(list(run.glob("pacs/*/SR-*.dcm"))) == 4, "a report and a CAD report each"


def test_a_second_node_in_the_same_data_folder_is_refused(tmp_path: Path) -> None:
    config = tmp_path / "node.toml"
    config.write_text('data_dir = "data"\n')
    with only_node(tmp_path / "data"):
        answer = mammo_node("serve", "--config", config)
    assert answer.returncode == 2
    assert "Another mammo-node works in" in answer.stderr


def test_a_port_in_use_is_reported_in_one_line(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        config = tmp_path / "node.toml"
        config.write_text(f'data_dir = "data"\n[receiver]\nport = {port}\n')
        answer = mammo_node("serve", "--config", config)
    assert answer.returncode == 2
    assert f"Cannot listen on 127.0.0.1:{port}" in answer.stderr
    assert "Traceback" not in answer.stderr
