"""Reports reach a FHIR server once, in their newest revision, or the reason is stored without patient data."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from fhir_server import FhirServer as Server
from readings import ENCODING
from reports import some_exam, some_images, some_sources
from road import Road

from dicom_io.errors import NotAccepted, Rejected, Unreachable
from node.delivery.backoff import RetryPolicy
from node.delivery.deliverer import Deliverer
from node.delivery.fhir_server import FhirServer, fhir_echo
from node.demo.studies import DemoStudy
from node.reporting.fhir import encode_fhir
from node.store.states import DeliveryState


@pytest.fixture
def server() -> Iterator[Server]:
    with Server().listening() as started:
        yield started


@pytest.fixture
def report(tmp_path: Path) -> Path:
    path = tmp_path / "01-FHIR.json"
    path.write_bytes(encode_fhir(some_exam(), some_sources(), ENCODING, None))
    return path


def send(server: Server, path: Path, **peer: object) -> None:
    with FhirServer(server.peer(**peer), "ehr") as destination:
        destination.send(path)


def test_a_report_that_is_sent_again_is_stored_once(server: Server, report: Path):
    send(server, report)
    before = json.dumps(server.resources)
    send(server, report)
    assert json.dumps(server.resources) == before
    (stored,) = server.of_type("DiagnosticReport")
    assert {result["reference"] for result in stored["result"]} == {
        name for name in server.resources if name.startswith("Observation/")
    }


def test_a_revision_replaces_the_report_before_it_and_withdraws_its_lesions(server: Server, report: Path):
    send(server, report)
    later = encode_fhir(
        some_exam(some_images()[2:]), some_sources(), replace(ENCODING, revision=2), report.read_bytes()
    )
    report.write_bytes(later)
    send(server, report)
    (stored,) = server.of_type("DiagnosticReport")
    assert "This is revision 2" in stored["conclusion"]
    statuses = {name: resource["status"] for name, resource in server.resources.items() if "Obs" in name}
    assert sorted(statuses.values()) == ["entered-in-error"] * 4 + ["preliminary"] * 2
    assert all(statuses[result["reference"]] == "preliminary" for result in stored["result"])


def test_a_token_is_sent_and_is_in_no_message(server: Server, report: Path, tmp_path: Path):
    server.token = "the-real-one"
    token = tmp_path / "token"
    token.write_text("a-wrong-one\n")
    with pytest.raises(Rejected, match="bearer_token_file") as refused:
        send(server, report, bearer_token_file=token)
    assert "wrong-one" not in str(refused.value)
    token.write_text("the-real-one\n")
    send(server, report, bearer_token_file=token)
    assert server.of_type("DiagnosticReport")


def test_a_refusal_names_its_codes_and_keeps_the_answer_beside_the_report(server: Server, report: Path):
    bundle = json.loads(report.read_bytes())
    bundle["entry"][0]["resource"]["status"] = ""
    report.write_text(json.dumps(bundle))
    with pytest.raises(Rejected, match=r"422.*: invalid; its answer is kept") as refused:
        send(server, report)
    assert not isinstance(refused.value, NotAccepted)
    assert "Doe" not in str(refused.value)
    assert b"Doe" in report.with_suffix(".ehr.answer.json").read_bytes()
    assert server.resources == {}


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (503, b"", Unreachable), (429, b"", Unreachable), (415, b"", NotAccepted), (412, b"", Rejected),
        (200, b"<html>sign in</html>", Rejected), (200, b"{}", Rejected), (201, b'{"entry": []}', Rejected),
        (500, b'{"issue": [{"code": "of Doe^Jane"}]}', Rejected), (400, b'{"issue": 7}', Rejected),
    ],
)  # fmt: skip
def test_what_is_no_stored_report_is_an_error(
    server: Server, report: Path, status: int, body: bytes, error: type[Exception]
):
    server.refusal = status, body
    with pytest.raises(error) as raised:
        send(server, report)
    assert type(raised.value) is error
    assert "Doe" not in str(raised.value)


def test_what_is_no_bundle_is_given_up_at_once(server: Server, tmp_path: Path):
    (tmp_path / "a.dcm").write_bytes(b"\0" * 128 + b"DICM")
    with pytest.raises(NotAccepted, match="no FHIR Bundle"):
        send(server, tmp_path / "a.dcm")


def test_check_tells_a_server_of_another_release_and_one_without_transactions(server: Server):
    fhir_echo(server.peer())
    server.capabilities["rest"][0]["interaction"] = [{"code": "search-system"}]
    with pytest.raises(NotAccepted, match="no transactions"):
        fhir_echo(server.peer())
    server.capabilities["fhirVersion"] = "3.0.2"
    with pytest.raises(Rejected, match=r"3\.0\.2"):
        fhir_echo(server.peer())
    server.capabilities.clear()
    with pytest.raises(Rejected, match="no FHIR server"):
        fhir_echo(server.peer())


@pytest.mark.slow
def test_only_the_newest_revision_is_sent_once_the_server_is_back(
    tmp_path: Path, mammogram_study: DemoStudy, closed_port: int
):
    road = Road(tmp_path, profile="fhir")
    server = Server()
    server.port = closed_port
    policy = RetryPolicy(first_s=30, ceiling_s=3600, dead_after_s=7200)
    with FhirServer(server.peer(), "ehr") as transport:
        delivering = Deliverer("pacs", transport, policy, road.sessions, road.data_dir, road.clock)
        road.all_of_it(*mammogram_study.files[:3])
        assert delivering.deliver_due() == 1
        assert [delivery.state for delivery in road.deliveries()] == [DeliveryState.WAITING]
        road.all_of_it(mammogram_study.files[3])
        old, new = road.deliveries()
        assert (old.state, old.error) == (DeliveryState.DEAD, "replaced by revision 2")
        road.clock.seconds += 3600
        with server.listening():
            assert delivering.deliver_due() == 1
    assert new.destination == "pacs"
    (stored,) = server.of_type("DiagnosticReport")
    assert "This is revision 2" in stored["conclusion"]
    assert set(server.written.values()) == {1}
