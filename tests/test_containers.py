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


OWN = sorted(name for name, service in COMPOSE["services"].items() if "build" in service)
DOCKERFILES = sorted(ROOT.glob("**/Dockerfile"))


@pytest.mark.parametrize("service", OWN)
def test_what_we_build_runs_without_privileges_on_a_root_that_cannot_be_written(service: str) -> None:
    """tests/node/test_read_only.py runs the node like that."""
    asked = COMPOSE["services"][service]
    assert asked["read_only"] is True
    assert asked["cap_drop"] == ["ALL"]
    assert "/tmp" in asked["tmpfs"]
    assert not {"privileged", "cap_add", "network_mode", "pid", "user"} & asked.keys()
    context = asked["build"] if isinstance(asked["build"], str) else asked["build"]["context"]
    (user,) = re.findall(r"^USER (\S+)$", (ROOT / context / "Dockerfile").read_text(), re.MULTILINE)
    assert user not in ("root", "0")


@pytest.mark.parametrize("service", sorted(COMPOSE["services"]))
def test_no_container_can_gain_privileges(service: str) -> None:
    assert COMPOSE["services"][service]["security_opt"] == ["no-new-privileges:true"]


def test_base_images_have_exact_tags_and_take_a_digest() -> None:
    """A digest is the builder's to give: one that is written here and was not pulled here would be invented."""
    for dockerfile in DOCKERFILES:
        text = dockerfile.read_text()
        for image in re.findall(r"^FROM (\S+)", text, re.MULTILINE):
            tag, argument = re.fullmatch(r"[a-z]+:(\d+\.\d+\.\d+\S*)\$\{(\w+):\+@\$\2\}", image).groups()
            assert tag
            assert f"ARG {argument}=\n" in text
        assert "latest" not in text
        assert "sha256:" not in re.sub(r"#.*", "", text)
    for service in COMPOSE["services"].values():
        if "image" in service:
            assert re.fullmatch(r"[a-z/]+:\d+\.\d+\.\d+", service["image"])


def test_the_image_of_the_node_has_no_shell_and_nothing_is_run_by_one() -> None:
    text = (ROOT / "Dockerfile").read_text()
    final = text[text.rindex("\nFROM ") :]
    removed = re.search(r"rm -f ((?:.|\\\n)+?)\nUSER", final).group(1).replace("\\\n", " ").split()
    assert {"/usr/bin/sh", "/usr/bin/dash", "/usr/bin/bash"} <= set(removed)
    assert not re.search(r"\nRUN ", final[final.index("rm -f") :])
    for command in re.findall(r"^(?: +CMD|CMD|ENTRYPOINT) (.*)$", final, re.MULTILINE):
        assert isinstance(json.loads(command), list), "the form without a shell"
