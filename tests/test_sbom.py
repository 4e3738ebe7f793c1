"""The bill of materials of a release names every package that is installed, with its hashes."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_the_bill_of_materials_lists_what_the_lock_pins(tmp_path: Path) -> None:
    (made,) = re.findall(r"^SBOM := \$\(BIN\)/(.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    program, *arguments = made.split()
    command = [Path(sys.executable).with_name(program), *arguments, "-o", tmp_path / "sbom.json"]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    sbom = json.loads((tmp_path / "sbom.json").read_text())
    locked = re.findall(r"^([a-z0-9-]+)==([^ ;]+)", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    assert sbom["bomFormat"] == "CycloneDX"
    assert {(part["name"], part["version"]) for part in sbom["components"]} == set(locked)
    assert len(locked) > 50
    for part in sbom["components"]:
        assert part["externalReferences"][0]["hashes"]
    assert sbom["metadata"]["component"]["licenses"][0]["license"]["id"] == "AGPL-3.0-or-later"
