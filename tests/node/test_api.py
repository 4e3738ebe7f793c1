"""Notebooks read studies, and the notebook of the documentation runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from node.api import Reader
from node.demo.studies import DemoStudy

pytestmark = pytest.mark.slow

NOTEBOOK = Path(__file__).parents[2] / "docs" / "reading.ipynb"


def test_a_study_is_read_into_arrays_and_the_models_stay_loaded(
    eager_bundle: Path, mammogram_study: DemoStudy, tmp_path: Path
) -> None:
    reader = Reader(str(eager_bundle), "cpu")
    folder = mammogram_study.files[0].parent
    note = tmp_path / "note.txt"
    note.write_text("no image")
    found = reader.read([folder, note])
    (study,) = found.studies
    assert study.exam is not None
    assert study.folder is None
    assert len(study.exam.images) == 4
    assert [skipped.path for skipped in found.skipped] == [note]
    reading = next(image.reading for image in study.exam.images if image.reading.findings)
    mask = reading.findings[0].mask.full(reading.shape)
    assert mask.dtype == np.bool_
    assert mask.any()
    (again,) = reader.read(mammogram_study.files[:1], tmp_path / "out").studies
    assert again.folder is not None
    assert (again.folder / "reading.json").is_file()


def test_a_folder_that_is_missing_is_named(blind_bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere does not exist"):
        Reader(str(blind_bundle), "cpu").read(tmp_path / "nowhere")


def test_the_notebook_of_the_documentation_runs(mammogram_study: DemoStudy) -> None:
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    code = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    environment = {**os.environ, "STUDY": str(mammogram_study.files[0].parent), "MPLBACKEND": "agg"}
    ran = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert "exam: 0." in ran.stdout
    assert all(f"{side} {view}" in ran.stdout for side in "LR" for view in ("CC", "MLO"))
