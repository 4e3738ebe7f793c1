"""What programs that watch the node are told."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from browsing import asking
from ports import held_port
from road import Road

from config.peers import DicomDestination
from node.demo.studies import DemoStudy

PACS = DicomDestination(name="pacs", ae_title="PACS", host="127.0.0.1", port=1)
FOLDER = Path(__file__).parents[3] / "monitoring"


@pytest.fixture
def scraped(browse, road: Road, mammogram_study: DemoStudy) -> str:
    """The metrics after a study of one image."""
    browser = browse(road, destinations=(PACS,))
    browser.get("/metrics")
    road.clock.seconds += 10
    road.all_of_it(mammogram_study.files[0])
    road.clock.seconds += 10
    return browser.get("/metrics").text


def value(scraped: str, name: str) -> float:
    (line,) = [line for line in scraped.splitlines() if line.startswith(f"{name} ")]
    return float(line.rpartition(" ")[2])


def test_a_study_is_counted_once_and_its_stages_are_timed(scraped: str):
    assert value(scraped, 'mammo_node_images_received_total{sender="PACS"}') == 1
    assert value(scraped, "mammo_node_images_read_total") == 1
    assert value(scraped, 'mammo_node_stage_seconds_count{stage="detect"}') == 1
    assert value(scraped, "mammo_node_report_seconds_sum") == 61
    assert value(scraped, 'mammo_node_deliveries{destination="pacs",state="waiting"}') == 2
    assert value(scraped, 'mammo_node_delivery_lag_seconds{destination="pacs"}') == 10


def test_the_metrics_have_nothing_of_a_patient(scraped: str, mammogram_study: DemoStudy):
    assert mammogram_study.patient_id not in scraped
    assert not re.search(r"\d+(\.\d+){5,}", scraped)


def test_the_rules_and_the_dashboard_ask_for_metrics_that_there_are(scraped: str):
    there = set(re.findall(r"^(?:# TYPE )?(mammo_node_\w+)[ {]", scraped, re.MULTILINE))
    texts = [(FOLDER / name).read_text() for name in ("alerts.yml", "grafana-dashboard.json")]
    asked = {name for text in texts for name in re.findall(r"\bmammo_node_\w+", text)}
    assert asked
    assert asked - there == set()


def test_the_dashboards_panels_do_not_overlap():
    panels = json.loads((FOLDER / "grafana-dashboard.json").read_text())["panels"]
    taken = [
        (column, row)
        for place in (panel["gridPos"] for panel in panels)
        for column in range(place["x"], place["x"] + place["w"])
        for row in range(place["y"], place["y"] + place["h"])
    ]
    assert len(taken) == len(set(taken))
    assert max(column for column, _ in taken) < 24


def promtool(*arguments: str | Path, text: str = "") -> subprocess.CompletedProcess[str]:
    program = shutil.which("promtool")
    if program is None:
        pytest.skip("promtool is not installed (Debian package prometheus)")
    return subprocess.run([program, *arguments], input=text, capture_output=True, text=True, check=False)


def test_promtool_finds_no_fault_in_the_alert_rules_and_the_metrics(scraped: str):
    rules = promtool("check", "rules", FOLDER / "alerts.yml")
    assert rules.returncode == 0, rules.stdout + rules.stderr
    metrics = promtool("check", "metrics", text=scraped)
    assert metrics.returncode == 0, metrics.stdout + metrics.stderr


def test_the_alerts_are_raised_when_they_should_be_and_only_then(tmp_path: Path):
    tests = tmp_path / "tests.yml"
    tests.write_text(ALERTS.replace("RULES", str(FOLDER / "alerts.yml")))
    ran = promtool("test", "rules", tests)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_the_node_is_alive_and_says_in_words_why_it_is_not_ready(browse, road: Road):
    with held_port() as nobody_listens:
        browser = browse(road, receiver={"port": nobody_listens})
        assert browser.get("/health/live").text == "alive\n"
        answer = browser.get("/health/ready")
    assert answer.status_code == 503
    assert "not ready: the DICOM listener does not answer" in answer.text


def test_those_who_watch_need_no_account_and_may_be_elsewhere(road: Road):
    for address in ("/metrics", "/health/live"):
        assert asking(road, "192.0.2.7", "192.0.2.1:8080").get(address).status_code == 200


ALERTS = """
rule_files: [RULES]
evaluation_interval: 1m
tests:
  - interval: 1m
    input_series:
      - series: 'mammo_node_jobs{kind="read-image", state="waiting", instance="one"}'
        values: '4+0x60'
      - series: 'mammo_node_images_read_total{instance="one"}'
        values: '9+0x60'
      - series: 'mammo_node_jobs{kind="read-image", state="waiting", instance="two"}'
        values: '4+0x60'
      - series: 'mammo_node_images_read_total{instance="two"}'
        values: '9+1x60'
      - series: 'mammo_node_delivery_lag_seconds{destination="pacs", instance="one"}'
        values: '0+120x60'
      - series: 'up{job="mammo-node", instance="one"}'
        values: '1+0x60'
    alert_rule_test:
      - eval_time: 50m
        alertname: MammoNodeReaderStalled
        exp_alerts:
          - exp_labels: {severity: critical, kind: read-image, state: waiting, instance: one}
            exp_annotations: {summary: "Images wait, and none was read for a quarter of an hour."}
      - eval_time: 50m
        alertname: MammoNodeDeliveryLate
        exp_alerts:
          - exp_labels: {severity: warning, destination: pacs, instance: one}
            exp_annotations: {summary: "Results have waited for pacs for more than an hour."}
      - eval_time: 10m
        alertname: MammoNodeDeliveryLate
        exp_alerts: []
      - eval_time: 50m
        alertname: MammoNodeDown
        exp_alerts: []
"""
