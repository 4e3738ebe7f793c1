"""What the containers are made of is what the tests test, as far as that can be seen without Docker."""

from __future__ import annotations

import json
import re
import runpy
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())


def test_the_viewer_is_the_one_that_make_viewer_fetches() -> None:
    made = re.findall(r"^(OHIF|OHIF_SHA512) := (\S+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    dockerfile = (ROOT / "compose/viewer/Dockerfile").read_text()
    assert re.findall(r"^ARG (OHIF|OHIF_SHA512)=(\S+)$", dockerfile, re.MULTILINE) == made
    assert len(made) == 2


@pytest.mark.parametrize("service", sorted(COMPOSE["services"]))
def test_what_a_service_mounts_and_builds_is_here(service: str) -> None:
    asked = COMPOSE["services"][service]
    for mounted in asked.get("volumes", []):
        source = mounted.split(":")[0]
        assert source in COMPOSE["volumes"] or (ROOT / source).is_file()
    if build := asked.get("build"):
        folder = ROOT / (build if isinstance(build, str) else build["context"])
        copied = re.findall(r"^COPY (?!--from)(.+) \S+$", (folder / "Dockerfile").read_text(), re.MULTILINE)
        assert copied
        assert [name for names in copied for name in names.split() if not (folder / name).exists()] == []


@pytest.mark.parametrize("service", sorted(COMPOSE["services"]))
def test_every_port_is_published_to_this_machine_only(service: str) -> None:
    ports = COMPOSE["services"][service]["ports"]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_orthanc_answers_dicomweb_where_the_viewer_asks() -> None:
    served = json.loads((ROOT / "compose/orthanc.json").read_text())["DicomWeb"]
    viewer = (ROOT / "compose/viewer/app-config.js").read_text()
    assert served["Root"] == re.search(r"qidoRoot: '(.*)'", viewer).group(1) + "/"
    assert served["WadoRoot"] == re.search(r"wadoUriRoot: '(.*)'", viewer).group(1)


def test_the_health_check_is_a_program_of_this_node() -> None:
    (command,) = re.findall(r"HEALTHCHECK .*\n +CMD (\[.*\])", (ROOT / "Dockerfile").read_text())
    python, dash_m, module, config = json.loads(command)
    assert (python, dash_m) == ("python", "-m")
    assert runpy.run_module(module)["main"]([]) == 2, "it asks for the settings"
    assert config in [mounted.split(":")[1] for mounted in COMPOSE["services"]["node"]["volumes"] if ":ro" in mounted]
