"""Writes the bill of materials of a release (CycloneDX, JSON): what requirements.txt pins, with hashes and licences.

    python compose/sbom.py sbom.json

A licence is what the installed package states of itself. Of a package that is not installed here (one for another
system) none is named.
"""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path
from typing import Any

TOP = Path(__file__).parents[1]
LONGEST = 100
"""Letters of a licence's name; a longer one is the licence itself."""
STATED_ELSEWHERE = {
    "protobuf": "BSD-3-Clause",
    "pycocotools": "BSD-2-Clause",
    "segment-anything": "Apache-2.0",
    "torchvision": "BSD-3-Clause",
    "antlr4-python3-runtime": "BSD-3-Clause",
    "cuda-toolkit": "LicenseRef-NVIDIA-Proprietary",
    "nvidia-cusparselt-cu13": "LicenseRef-NVIDIA-Proprietary",
}
"""By the files LICENSE of packages that state none in their metadata."""


def licences_of(package: str) -> list[dict[str, Any]]:
    """As CycloneDX has them: one expression, or names."""
    try:
        stated = metadata(package)
    except PackageNotFoundError:
        return []
    expressions = stated.get_all("License-Expression", [])
    if expression := next(iter(expressions), STATED_ELSEWHERE.get(package)):
        return [{"expression": expression}]
    classified = [each.rpartition(" :: ")[2] for each in stated.get_all("Classifier", []) if "License ::" in each]
    named = " ".join(stated.get_all("License", [])).strip()
    if not classified and named and len(named) <= LONGEST:
        classified = [named]
    return [{"license": {"name": name}} for name in classified]


def main(written: Path) -> None:
    program = Path(sys.executable).with_name("cyclonedx-py")
    asked = "requirements requirements.txt --pyproject pyproject.toml --output-reproducible --of JSON -o"
    subprocess.run([str(program), *asked.split(), str(written.resolve())], cwd=TOP, check=True)
    bill = json.loads(written.read_text())
    for component in bill["components"]:
        if licences := licences_of(component["name"]):
            component["licenses"] = licences
    written.write_text(json.dumps(bill, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
