"""What programs are told of studies, and what they may do."""

from __future__ import annotations

import logging
from io import BytesIO

import pytest
from pydicom import dcmread
from road import Road, changed
from running import eventually
from sqlalchemy import select

from config.peers import DicomDestination
from config.web import Role
from dicom_io.results.profiles import ResultKind
from node.demo.studies import DemoStudy
from node.operations.api_tokens import TokenRefused, add, remove
from node.store.states import DeliveryState, moved
from node.store.tables import ApiToken, Delivery, Result, Study

pytestmark = pytest.mark.slow

V1 = "/api/v1"
PACS = DicomDestination(name="pacs", ae_title="PACS", host="127.0.0.1", port=1)
PROBLEM = "application/problem+json"


@pytest.mark.parametrize(
    "authorization", [None, "Bearer made-up", "Bearer ", "Basic YTpi", "mammo_secret-of-the-viewer"]
)
def test_whoever_has_no_token_of_this_node_is_let_in_nowhere(program, road: Road, authorization):
    program(road, Role.VIEWER)
    asking = program(road, None)
    headers = {"Authorization": authorization} if authorization else {}
    for method, address in (
        ("GET", "/studies"),
        ("GET", "/studies/1"),
        ("POST", "/studies/1/retry"),
        ("GET", "/events"),
    ):
        answer = asking.request(method, V1 + address, headers=headers)
        assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
        assert answer.headers["Content-Type"] == PROBLEM
        assert "mammo-node tokens add" in answer.json()["detail"]


def test_a_sessions_cookie_is_no_token_so_that_no_other_site_can_use_it(program, road: Road):
    asking = program(road, None)
    tokens = asking.app.state.desk.tokens
    asking.cookies.set("session", tokens.csrf("a session"))
    assert asking.post(f"{V1}/studies/1/retry", headers={"Origin": "http://node.example:8080"}).status_code == 401


def test_a_removed_token_lets_nobody_in_any_more(program, road: Road):
    asking = program(road, Role.VIEWER)
    assert asking.get(f"{V1}/studies").status_code == 200
    with road.sessions.begin() as session:
        remove(session, "the-viewer", road.clock())
    assert asking.get(f"{V1}/studies").status_code == 401


def test_a_token_is_not_stored(road: Road):
    with road.sessions.begin() as session:
        token = add(session, "ris", Role.VIEWER, "a-secret", 0.0)
        stored = session.scalars(select(ApiToken)).one()
        assert token == "mammo_a-secret"
        assert "a-secret" not in repr(vars(stored))


@pytest.mark.parametrize("name", ["", "two words", "ris"])
def test_a_token_that_cannot_be_is_refused_with_its_reason(road: Road, name):
    with road.sessions.begin() as session:
        add(session, "ris", Role.VIEWER, "one", 0.0)
        with pytest.raises(TokenRefused):
            add(session, name, Role.VIEWER, "another", 0.0)


def test_a_study_is_told_with_why_its_road_its_findings_and_its_deliveries(program, reported: Road):
    study = program(reported, Role.VIEWER, destinations=(PACS,)).get(f"{V1}/studies/1").json()
    assert study["says"] == "It was read and reported; 5 results still to go to pacs."
    assert (study["state"], study["sender"], study["revision"]) == ("reported", "PACS", 1)
    assert study["received_at"] == "2023-11-14T22:13:20Z"
    assert [image["outcome"] for image in study["images"]] == ["read"] * 4
    assert "Revision 1 reported" in [event["what"] for event in study["events"]]
    assert {delivery["state"] for delivery in study["deliveries"]} == {"waiting"}
    exam = study["exam"]
    assert "Research use only" in exam["intended_use"]
    assert exam["score"] == study["score"] == max(image["score"] for image in exam["images"])
    assert [len(image["findings"]) for image in exam["images"]] == [1] * 4
    assert {image["image"] for image in exam["images"]} == {image["id"] for image in study["images"]}
    assert exam["images"][0]["findings"][0]["kind"] == "mass"


def test_patients_are_shown_only_to_the_roles_of_the_settings(program, reported: Road):
    with reported.sessions.begin() as session:
        row = session.scalars(select(Study)).one()
        secrets = {row.study_instance_uid, *(image.patient_id for image in row.instances)}
        secrets |= {image.sop_instance_uid for image in row.instances}
        secrets |= {result.sop_instance_uid for result in session.scalars(select(Result))}
    viewer, operator = program(reported, Role.VIEWER), program(reported, Role.OPERATOR)
    addresses = ("/studies", "/studies/1", "/studies/1/results")
    assert not [one for one in secrets for address in addresses if one in viewer.get(V1 + address).text]
    assert viewer.get(f"{V1}/studies/1/results/1").status_code == 403
    assert viewer.post(f"{V1}/search", json={"identifier": row.study_instance_uid}).status_code == 403
    for identifier in (row.study_instance_uid, row.instances[0].patient_id):
        [found] = operator.post(f"{V1}/search", json={"identifier": identifier}).json()["studies"]
        assert found["identifiers"]["study_instance_uid"] == row.study_instance_uid
    assert operator.post(f"{V1}/search", json={"identifier": "nobody"}).json() == {"studies": [], "next": None}
    trusted = program(reported, Role.VIEWER, web={"shows_patients_to": ["viewer"]})
    assert trusted.get(f"{V1}/studies/1").json()["identifiers"]["patient_id"] == row.instances[0].patient_id


@pytest.mark.parametrize(
    ("kind", "suffix", "media_type"),
    [(ResultKind.FHIR, "json", "application/fhir+json"), (ResultKind.ORU, "hl7", "x-application/hl7-v2+er7")],
)
def test_a_message_is_downloaded_as_what_it_is(program, reported: Road, kind: ResultKind, suffix: str, media_type: str):
    path = f"results/1/a-message.{suffix}"
    (reported.data_dir / path).write_bytes(b"a message")
    with reported.sessions.begin() as session:
        row = Result(
            study_id=1, revision=1, last_revision=1, profile="messages", kind=kind, sop_instance_uid=f"2.25.{suffix}",
            path=path, written_at=0.0,
        )  # fmt: skip
        session.add(row)
        session.flush()
        number = row.id
    try:
        answer = program(reported, Role.OPERATOR).get(f"{V1}/studies/1/results/{number}")
        assert answer.content == b"a message"
        assert answer.headers["Content-Type"].startswith(media_type)
        assert f".{suffix}" in answer.headers["Content-Disposition"]
    finally:
        with reported.sessions.begin() as session:
            session.delete(session.get(Result, number))


def test_results_are_downloaded_as_they_are_delivered(program, reported: Road):
    operator = program(reported, Role.OPERATOR)
    listed = operator.get(f"{V1}/studies/1/results").json()["results"]
    assert sorted(result["kind"] for result in listed) == ["SEG"] * 4 + ["SR"]
    for result in listed:
        answer = operator.get(f"{V1}/studies/1/results/{result['id']}")
        assert answer.headers["Content-Type"] == "application/dicom"
        assert dcmread(BytesIO(answer.content)).SOPInstanceUID == result["sop_instance_uid"]
    assert operator.get(f"{V1}/studies/1/results/99").status_code == 404
    assert operator.get(f"{V1}/studies/2/results/1").status_code == 404
    assert operator.get(f"{V1}/studies/2/results").status_code == 404


def test_nothing_that_was_read_of_a_study_in_quarantine_is_given_and_the_answer_says_why(
    program, road: Road, mammogram_study: DemoStudy
):
    first, second = mammogram_study.files[:2]
    road.all_of_it(first)
    operator = program(road, Role.OPERATOR)
    assert operator.get(f"{V1}/studies/1").json()["exam"]["score"] == 0.5
    road.receive(changed(second, PatientID="another"))
    study = operator.get(f"{V1}/studies/1").json()
    assert (study["state"], study["exam"], study["score"]) == ("quarantined", None, None)
    assert operator.get(f"{V1}/studies?least_score=0").json()["studies"] == []
    assert "in quarantine" in study["exam_lost"]
    assert [one["score"] for one in operator.get(f"{V1}/studies").json()["studies"]] == [None]
    for address in ("/studies/1/results", "/studies/1/results/1"):
        answer = operator.get(V1 + address)
        assert (answer.status_code, answer.headers["Content-Type"]) == (409, PROBLEM)
        assert "in quarantine" in answer.json()["detail"]


def test_a_result_whose_file_is_gone_is_not_found_and_says_so(program, road: Road, mammogram_study: DemoStudy):
    road.all_of_it(*mammogram_study.files[:1])
    with road.sessions.begin() as session:
        (road.data_dir / session.get_one(Result, 1).path).unlink()
    answer = program(road, Role.OPERATOR).get(f"{V1}/studies/1/results/1")
    assert answer.status_code == 404
    assert "gone from the data folder" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("query", "there"),
    [
        ("state=reported", True), ("state=open", False), ("sender=PACS", True), ("sender=OTHER", False),
        ("destination=pacs", True), ("destination=none", False), ("least_score=0", True), ("least_score=1", False),
        ("since=2023-11-14T22:13:20Z&until=2023-11-14T23:13:21%2B01:00", True), ("until=2023-11-14T22:13:20Z", False),
        ("discordant=true", False), ("problems=true", False), ("ids=1&ids=7", True), ("ids=7", False),
    ],
)  # fmt: skip
def test_studies_are_filtered(program, reported: Road, query, there):
    found = program(reported, Role.VIEWER).get(f"{V1}/studies?{query}").json()["studies"]
    assert bool(found) is there


@pytest.mark.parametrize(
    "query",
    ["state=lost", "since=yesterday", "since=2023-11-14T22:13:20", "least_score=2", "sate=open", "ids=0", "cursor=x",
     "limit=0", "limit=201", "state=open&sender="],
)  # fmt: skip
def test_a_filter_that_cannot_be_understood_is_refused_and_its_place_is_named(program, road: Road, query):
    answer = program(road, Role.VIEWER).get(f"{V1}/studies?{query}")
    assert (answer.status_code, answer.headers["Content-Type"]) == (422, PROBLEM)
    [mistake] = answer.json()["mistakes"]
    assert mistake["where"].split(".")[1] in query


def test_what_is_refused_is_not_repeated_since_it_may_be_a_patients(program, road: Road):
    answer = program(road, Role.OPERATOR).post(f"{V1}/search", json={"patient": "SECRET-7"})
    assert answer.status_code == 422
    assert "SECRET-7" not in answer.text


def test_pages_of_many_studies_hold_each_once_and_in_order(program, road: Road):
    with road.sessions.begin() as session:
        for number in range(120):
            session.add(
                Study(
                    study_instance_uid=f"1.2.{number}", source="PACS",
                    first_received_at=0.0, last_received_at=0.0, opened_at=0.0,
                )
            )  # fmt: skip
    viewer, seen, cursor = program(road, Role.VIEWER), [], ""
    while cursor is not None:
        page = viewer.get(f"{V1}/studies?limit=50{cursor and f'&cursor={cursor}'}").json()
        seen += [study["id"] for study in page["studies"]]
        cursor = page["next"]
    assert seen == list(range(120, 0, -1))


def test_a_viewers_token_may_not_retry_and_an_operators_may_and_it_is_noted(
    program, road: Road, mammogram_study: DemoStudy, caplog
):
    road.all_of_it(*mammogram_study.files[:1])
    with road.sessions.begin() as session:
        delivery = session.scalars(select(Delivery)).first()
        delivery.state = moved(delivery.state, DeliveryState.DEAD)
    refused = program(road, Role.VIEWER).post(f"{V1}/studies/1/retry")
    assert refused.status_code == 403
    assert "needs the role operator" in refused.json()["detail"]
    operator = program(road, Role.OPERATOR, destinations=(PACS,))
    with caplog.at_level(logging.INFO):
        done = operator.post(f"{V1}/studies/1/retry").json()
    assert "will be sent to pacs again" in done["says"][0]
    assert "retried by token 2: study 1" in caplog.text
    assert operator.post(f"{V1}/studies/1/retry").json()["says"][0].startswith("nothing failed")
    assert operator.post(f"{V1}/studies/7/retry").status_code == 404


def test_results_are_sent_again_to_a_destination_of_the_settings_by_an_operator(
    program, road: Road, mammogram_study: DemoStudy, caplog
):
    road.receive(mammogram_study.files[0])
    operator = program(road, Role.OPERATOR, destinations=(PACS,))
    to_pacs = {"to": "pacs"}
    assert operator.post(f"{V1}/studies/1/resend", json=to_pacs).status_code == 409, "it has no results yet"
    road.all_of_it()
    with road.sessions.begin() as session:
        for delivery in session.scalars(select(Delivery)):
            delivery.state = moved(delivery.state, DeliveryState.SENT)
    assert (
        program(road, Role.VIEWER, destinations=(PACS,)).post(f"{V1}/studies/1/resend", json=to_pacs).status_code == 403
    )
    assert operator.post(f"{V1}/studies/1/resend", json={"to": "elsewhere"}).status_code == 409
    assert operator.post(f"{V1}/studies/7/resend", json=to_pacs).status_code == 404
    with caplog.at_level(logging.INFO):
        done = operator.post(f"{V1}/studies/1/resend", json=to_pacs).json()
    assert done["says"] == [f"{len(road.deliveries())} results will be sent to pacs"]
    assert {delivery.state for delivery in road.deliveries()} == {DeliveryState.WAITING}
    assert "sent again by token" in caplog.text


def test_a_study_of_two_patients_is_not_retried_and_the_answer_says_why(
    program, road: Road, mammogram_study: DemoStudy
):
    first, second = mammogram_study.files[:2]
    road.receive(first, changed(second, PatientID="another"))
    answer = program(road, Role.OPERATOR).post(f"{V1}/studies/1/retry")
    assert (answer.status_code, answer.headers["Content-Type"]) == (409, PROBLEM)
    assert "stays in quarantine" in answer.json()["detail"]


def ended(said: str) -> str:
    return "" if said == "It is being read again." else said


@pytest.mark.slow
def test_a_study_that_cannot_be_read_again_says_why_where_the_outcome_is_told(
    program, road: Road, mammogram_study: DemoStudy
):
    road.receive(mammogram_study.files[0])
    operator = program(road, Role.OPERATOR, reader={"bundle": "/nowhere"})
    begun = operator.post(f"{V1}/studies/1/reread", json={})
    assert (begun.status_code, begun.json()) == (202, {"says": ["It is being read again."]})
    assert operator.post(f"{V1}/studies/1/reread", json={"shadow": True}).status_code == 409
    said = eventually("it ended", lambda: ended(operator.get(f"{V1}/studies/1").json()["reread"]))
    assert "It was not read again: " in said
    assert "/nowhere" in said
    assert operator.post(f"{V1}/studies/7/reread", json={}).status_code == 404
    assert operator.post(f"{V1}/studies/1/reread", json={"bundle": "mine"}).status_code == 409


def test_while_the_queue_does_not_answer_programs_are_told_in_their_own_form(program, road: Road):
    viewer = program(road, Role.VIEWER)
    with road.sessions.begin() as session:
        session.connection().exec_driver_sql("DROP TABLE api_token")
    answer = viewer.get(f"{V1}/studies")
    assert (answer.status_code, answer.headers["Content-Type"]) == (503, PROBLEM)
    assert "The queue does not answer" in answer.json()["detail"]


def test_the_description_is_there_for_everybody_and_names_every_operation(program, road: Road):
    described = program(road, None).get(f"{V1}/openapi.json").json()
    assert set(described["paths"]) == {
        "/studies", "/search", "/studies/{study}", "/studies/{study}/results",
        "/studies/{study}/results/{result}", "/studies/{study}/retry", "/studies/{study}/resend",
        "/studies/{study}/reread", "/events",
    }  # fmt: skip
    assert described["servers"] == [{"url": V1}]


@pytest.mark.parametrize(("headers", "status"), [({"Content-Length": "64001"}, 413), ({"Content-Length": "-1"}, 413)])
def test_a_body_that_would_fill_the_memory_is_not_read_whoever_sends_it(program, road: Road, headers, status):
    answer = program(road, None).post(f"{V1}/search", content=b"{}", headers=headers)
    assert (answer.status_code, answer.headers["Content-Type"]) == (status, PROBLEM)
