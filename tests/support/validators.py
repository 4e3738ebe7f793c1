"""Independent judges of DICOM objects: each returns the errors it finds (none: the object is well-formed)."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import IO

import pytest

_JARS = Path("/usr/share/java")
# DCMTK reports this for every Mammography CAD SR; PixelMed checks its templates.
_NO_TEMPLATES = "W: Check for template constraints not yet supported"

# Of a rejection for quality reasons TID 2010 row 3 demands a modifier of the title. PixelMed (2022-06-18) looks for the
# title among the document's siblings (../code in its rules), never finds it, and so takes the modifier as one too many.
_TITLE_NOT_SEEN = tuple(
    f"Template 2010 KeyObjectSelection/[Row 1] CONTAINER CID 7010_WithTCE/[Row {row}] CODE CID {context_group}: "
    'within 1: /CONTAINER (113001,DCM,"Rejected for Quality Reasons"): '
    "Conditional content item present when condition not satisfied"
    for row, context_group in ((3, 7011), (4, 7012))
)


def dciodvfy(path: Path) -> list[str]:
    """IOD validation by dicom3tools. Its exit status says nothing; lines that begin with "Error" do."""
    return [line for line in _run("dciodvfy", str(path)) if line.startswith(("Error", "Abort"))]


def dcentvfy(paths: Sequence[Path]) -> list[str]:
    """Whether objects of one study agree about patient, study, series and frame of reference (dicom3tools)."""
    return [line for line in _run("dcentvfy", *map(str, paths)) if line.startswith(("Error", "Abort"))]


def dsrdump(path: Path) -> list[str]:
    """Relationship constraints of structured reports by DCMTK, warnings included."""
    lines = [line for line in _run("dsrdump", str(path)) if line.startswith(("E:", "F:", "W:"))]
    return [line for line in lines if line != _NO_TEMPLATES]


def pixelmed(*paths: Path) -> list[str]:
    """Template validation of structured reports by PixelMed."""
    if shutil.which("java") is None or not (_JARS / "pixelmed.jar").exists():
        pytest.skip("PixelMed is not installed (Debian: libpixelmed-java, default-jre-headless)")
    asked, answers = _pixelmed_at_work()
    print(*paths, sep="\t", file=asked, flush=True)
    lines = [line.rstrip("\n") for line in iter(answers.readline, "done\n") if line or pytest.fail("PixelMed ended")]
    complete = [line for line in lines if "Template Validation Complete" in line]
    assert len(complete) == len(paths), "\n".join(lines)
    return [line for line in lines if "Error" in line and not line.endswith(_TITLE_NOT_SEEN)]


@cache
def _pixelmed_at_work() -> tuple[IO[str], IO[str]]:
    """Its input and its output. Its start, its rules and a first report take ten seconds of CPU: one serves all tests,
    and ends with them."""
    limits = ("xpathExprOpLimit", "xpathExprGrpLimit", "xpathTotalOpLimit")
    process = subprocess.Popen(
        [
            "java",
            "-XX:+UseSerialGC",
            *(f"-Djdk.xml.{limit}=0" for limit in limits),
            "-cp",
            str(_JARS / "*"),
            str(Path(__file__).with_name("ValidateReports.java")),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    assert process.stdin is not None
    assert process.stdout is not None
    return process.stdin, process.stdout


def _run(tool: str, *arguments: str) -> list[str]:
    if shutil.which(tool) is None:
        pytest.skip(f"{tool} is not installed (Debian: dicom3tools, dcmtk, libpixelmed-java)")
    run = subprocess.run([tool, *arguments], capture_output=True, text=True, errors="replace", check=False)
    return (run.stdout + run.stderr).splitlines()
