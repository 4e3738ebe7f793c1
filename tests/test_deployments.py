"""The manifests for Kubernetes and the units for systemd, as far as they can be checked without a cluster and without
systemd running."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from config.settings import load
from node.parts import Part, parts_of

ROOT = Path(__file__).parents[1]
MANIFESTS = {
    f"{path.stem} {manifest['kind']} {manifest['metadata']['name']}": manifest
    for path in sorted((ROOT / "compose/kubernetes").glob("*.yaml"))
    for manifest in yaml.safe_load_all(path.read_text())
}
DEPLOYMENTS = {name: manifest for name, manifest in MANIFESTS.items() if manifest["kind"] == "Deployment"}
UNITS = ("mammo-node.service", "mammo-node@.service")
WORST_EXPOSURE = 15
"""Of systemd-analyze: 100 is no protection at all."""


def pod(deployment: dict[str, Any]) -> dict[str, Any]:
    return deployment["spec"]["template"]["spec"]


def containers(deployment: dict[str, Any]) -> list[dict[str, Any]]:
    return [*pod(deployment)["initContainers"], *pod(deployment)["containers"]]


def the_node(deployment: dict[str, Any]) -> dict[str, Any]:
    (container,) = pod(deployment)["containers"]
    return container


@pytest.mark.parametrize("name", MANIFESTS)
def test_a_manifest_is_what_kubernetes_takes(name):
    assert kubernetes_validate.validate(MANIFESTS[name], "1.33", strict=True) == "1.33"


def test_each_part_has_a_deployment_and_no_part_is_left_out():
    run = {}
    for deployment in DEPLOYMENTS.values():
        serve, dash_config, config, only, words, *_ = the_node(deployment)["args"]
        assert (serve, dash_config, only) == ("serve", "--config", "--only")
        mounted = {mount["mountPath"] for mount in the_node(deployment)["volumeMounts"]}
        assert config in mounted
        (part,) = parts_of([words])
        run[part] = deployment["metadata"]["name"]
    assert run == {part: f"mammo-node-{part}" for part in Part}


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_a_pod_is_confined(name):
    deployment = DEPLOYMENTS[name]
    of_the_pod = pod(deployment)["securityContext"]
    assert of_the_pod["runAsNonRoot"]
    assert of_the_pod["seccompProfile"] == {"type": "RuntimeDefault"}
    assert re.search(rf"useradd .*--uid {of_the_pod['runAsUser']} ", (ROOT / "Dockerfile").read_text())
    assert pod(deployment)["automountServiceAccountToken"] is False
    for container in containers(deployment):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert container["resources"]["limits"]["memory"]
        assert container["resources"]["requests"].keys() == {"cpu", "memory"}
        named = {volume["name"] for volume in pod(deployment)["volumes"]}
        assert {mount["name"] for mount in container["volumeMounts"]} <= named


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_what_a_deployment_selects_and_a_service_finds_is_its_pod(name):
    deployment = DEPLOYMENTS[name]
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert deployment["spec"]["selector"]["matchLabels"] == labels
    ports = {port["name"] for port in the_node(deployment).get("ports", [])}
    services = [it for it in MANIFESTS.values() if it["kind"] == "Service" and it["spec"]["selector"] == labels]
    assert {port["targetPort"] for service in services for port in service["spec"]["ports"]} == ports


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_an_update_does_not_wait_for_pods_that_wait_for_the_older_ones_to_end(name):
    assert DEPLOYMENTS[name]["spec"]["strategy"] == {"type": "Recreate"}


def test_the_probes_ask_what_the_parts_answer():
    (receive,) = [each for each in DEPLOYMENTS.values() if each["metadata"]["name"] == "mammo-node-receive"]
    (web,) = [each for each in DEPLOYMENTS.values() if each["metadata"]["name"] == "mammo-node-web"]
    assert the_node(receive)["livenessProbe"]["exec"]["command"][:3] == ["python", "-m", "node.alive"]
    path = the_node(web)["livenessProbe"]["httpGet"]["path"]
    assert f'@router.get("{path}")' in (ROOT / "node/web/pages/watched.py").read_text()


@pytest.mark.parametrize("part", ["read", "report", "deliver"])
def test_a_part_without_a_port_is_judged_by_the_file_that_it_writes(part):
    (deployment,) = [each for each in DEPLOYMENTS.values() if each["metadata"]["name"] == f"mammo-node-{part}"]
    arguments = the_node(deployment)["args"]
    file = arguments[arguments.index("--alive-file") + 1]
    for probe in ("startupProbe", "livenessProbe"):
        assert the_node(deployment)[probe]["exec"]["command"] == ["python", "-m", "node.alive", "--file", file]
    (mounted,) = [mount for mount in the_node(deployment)["volumeMounts"] if file.startswith(mount["mountPath"] + "/")]
    assert mounted["name"] == "tmp", "of this pod alone"


@pytest.mark.parametrize("name", UNITS)
def test_systemd_starts_a_node_again_that_gives_no_sign(name):
    lines = unit_lines(name)
    assert {"Type=notify", "WatchdogSec=120", "Restart=always", "TimeoutStartSec=infinity"} <= set(lines)


def test_the_settings_in_the_manifests_can_be_used_by_several_processes_of_a_part(tmp_path):
    (settings,) = [it["data"]["node.toml"] for it in MANIFESTS.values() if it["kind"] == "ConfigMap"]
    (tmp_path / "node.toml").write_text(settings)
    loaded = load(tmp_path / "node.toml")
    assert loaded.database.startswith("postgresql")
    mounts = [mount for each in DEPLOYMENTS.values() for mount in the_node(each)["volumeMounts"]]
    assert {mount["mountPath"] for mount in mounts if mount["name"] == "data"} == {str(loaded.data_dir)}
    assert "sslmode=verify-full" in loaded.database
    senders = {sender.ae_title: sender.host for sender in loaded.senders}
    assert loaded.receiver.ae_title in senders, "the part web stores from its pod"
    # RFC 5737: for examples. Manifests that were not edited let nobody in.
    examples = ip_network("192.0.2.0/24")
    assert all(ip_network(host).subnet_of(examples) for host in senders.values())


def test_dicom_comes_only_from_senders_and_from_the_nodes_own_pods():
    policies = {it["metadata"]["name"]: it["spec"] for it in MANIFESTS.values() if it["kind"] == "NetworkPolicy"}
    assert "ingress" not in policies["mammo-node"], "by default nothing comes in"
    (rule,) = policies["mammo-node-receive"]["ingress"]
    own = {"podSelector": {"matchLabels": {"app.kubernetes.io/name": "mammo-node"}}}
    assert rule["from"] == [{"ipBlock": {"cidr": "192.0.2.10/32"}}, own]


def test_the_image_has_the_driver_of_the_database_that_the_manifests_use():
    assert re.search(r"^psycopg==", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert {container["image"] for each in DEPLOYMENTS.values() for container in containers(each)} == {
        f"mammo-node:{version}"
    }


def unit_lines(name: str) -> list[str]:
    lines = (ROOT / "compose" / name).read_text().splitlines()
    return [line for line in lines if line and not line.startswith(("#", "Description=", "ExecStart="))]


def test_the_unit_of_a_part_is_as_confined_as_that_of_the_whole_node():
    assert unit_lines(UNITS[1]) == unit_lines(UNITS[0])


@pytest.mark.parametrize("name", UNITS)
def test_a_unit_is_what_systemd_takes_and_leaves_the_node_little(name, tmp_path):
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd is not installed (Debian package systemd)")
    node = tmp_path / "mammo-node"
    node.write_text("#!/bin/sh\n")
    node.chmod(0o755)
    unit = tmp_path / name
    unit.write_text((ROOT / "compose" / name).read_text().replace("/opt/mammo-node/bin/mammo-node", str(node)))
    verified = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False)
    assert (verified.returncode, [line for line in verified.stderr.splitlines() if "mammo-node" in line]) == (0, [])
    security = ["systemd-analyze", "security", "--offline=true", f"--threshold={WORST_EXPOSURE}", unit]
    exposed = subprocess.run(security, capture_output=True, text=True, check=False)
    assert exposed.returncode == 0, exposed.stdout[-300:]
