"""The bill of materials of a release names every package that is installed, with its hashes and its licence."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
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


def is_installed(package: str) -> bool:
    try:
        return bool(version(package))
    except PackageNotFoundError:
        return False


def test_the_bill_of_materials_lists_what_the_lock_pins(bill: dict[str, Any]) -> None:
    locked = re.findall(r"^([a-z0-9-]+)==([^ ;]+)", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    assert bill["bomFormat"] == "CycloneDX"
    assert {(part["name"], part["version"]) for part in bill["components"]} == set(locked)
    assert len(locked) > 50
    for part in bill["components"]:
        assert part["externalReferences"][0]["hashes"]
    assert bill["metadata"]["component"]["licenses"][0]["license"]["id"] == "AGPL-3.0-or-later"


def test_each_package_that_is_installed_has_a_licence_in_the_bill_of_materials(bill: dict[str, Any]) -> None:
    without = [part["name"] for part in bill["components"] if not part.get("licenses")]
    assert [name for name in without if is_installed(name)] == []
    assert len(without) < 10, "packages for other systems"
