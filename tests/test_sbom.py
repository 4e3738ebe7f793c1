"""The bill of materials of a release names every package, with its hashes and its licence."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def bill(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    written = tmp_path_factory.mktemp("sbom") / "sbom.json"
    subprocess.run([sys.executable, ROOT / "compose/sbom.py", written], check=True, capture_output=True)
    return dict(json.loads(written.read_text()))


def test_the_bill_of_materials_lists_what_the_lock_pins(bill: dict[str, Any]) -> None:
    locked = re.findall(r"^([a-z0-9-]+)==([^ ;]+)", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    assert bill["bomFormat"] == "CycloneDX"
    assert {(part["name"], part["version"]) for part in bill["components"]} == set(locked)
    assert len(locked) > 50
    for part in bill["components"]:
        assert part["externalReferences"][0]["hashes"]
    assert bill["metadata"]["component"]["licenses"][0]["license"]["id"] == "AGPL-3.0-or-later"


def test_each_package_has_a_licence_in_the_bill_of_materials_but_those_for_other_systems(bill: dict[str, Any]) -> None:
    pinned = (ROOT / "requirements.txt").read_text()
    for_some_systems = set(re.findall(r"^([a-z0-9-]+)==[^ ;]+ *;", pinned, re.MULTILINE))
    assert {part["name"] for part in bill["components"] if not part.get("licenses")} <= for_some_systems
    assert len(for_some_systems) < len(bill["components"]) / 2
