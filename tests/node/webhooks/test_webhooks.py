"""Webhooks are told of what happened to studies, signed and without patient data, until they have taken it."""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest
from assessing import LEFT, finding, report_on
from hypothesis import given
from hypothesis import strategies as st
from pydicom import dcmread
from road import Road, changed
from sqlalchemy import delete, select
from told_service import ToldService, told_service

from config.webhooks import Webhook
from dicom_io.errors import Unreachable
from models.birads.calibration import Calibration, Level, Method
from models.types.birads import Category
from node.delivery.backoff import RetryPolicy
from node.delivery.deliverer import Deliverer
from node.demo.studies import DemoStudy
from node.operations.day import DestinationWord
from node.operations.retry import retry_study
from node.operations.road import road_of
from node.operations.webhooks import tell_again, webhook_peer, webhook_words
from node.store.events import StudyEvent, Subscriber, left_behind, subscribe, tell, unsubscribe
from node.store.states import DeliveryState, StudyState, moved
from node.store.tables import Notice, Study
from node.webhooks.message import SecretUnusable, secret_of, signature
from node.webhooks.teller import Teller

pytestmark = pytest.mark.slow

SECRET = b"a secret of thirty-two letters !"
ALL = tuple(StudyEvent)
POLICY = RetryPolicy(first_s=30, ceiling_s=3600, dead_after_s=7200)
INSTALLATION = UUID("12345678-1234-5678-1234-567812345678")


@pytest.fixture
def road(tmp_path: Path) -> Road:
    """Every image's score is 0.5, and its probability above the recall threshold."""
    corners = {"scores": (0.0, 0.5, 1.0), "probabilities": (0.0, 0.9, 1.0)}
    calibration = {level: Calibration(level, Method.ISOTONIC, corners, 0.5, 10_000, 10_000) for level in Level}
    return Road(tmp_path / "data", calibration=calibration)


@pytest.fixture
def service() -> Iterator[ToldService]:
    with told_service() as service:
        yield service


@pytest.fixture
def secret_file(tmp_path: Path) -> Path:
    file = tmp_path / "secret"
    file.write_text(f"whsec_{base64.b64encode(SECRET).decode()}\n")
    return file


@pytest.fixture
def teller(road: Road, service: ToldService, secret_file: Path) -> Teller:
    """Of the webhook `ris`, which wants every event."""
    with road.sessions.begin() as session:
        subscribe(session, [Subscriber("ris", ALL, 0.5)])
    webhook = Webhook(name="ris", url=service.url, secret_file=secret_file)
    return Teller(
        "ris", webhook_peer(webhook), POLICY, road.sessions, INSTALLATION, "https://mammo.example", road.clock
    )


def told(service: ToldService) -> list[str]:
    return [json.loads(body)["type"] for _, body in service.told]


def notices(road: Road) -> list[Notice]:
    with road.sessions.begin() as session:
        return list(session.scalars(select(Notice).order_by(Notice.id)))


def test_the_signature_is_that_of_standard_webhooks():
    """The example of its reference implementations."""
    secret = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    signed = signature(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_reported_study_is_told_once_signed_and_without_a_patient(
    road: Road, teller: Teller, service: ToldService, mammogram_study: DemoStudy
):
    road.all_of_it(*mammogram_study.files)
    teller.tell_due()
    assert teller.tell_due() == 0
    assert told(service) == ["study.reported", "study.above_threshold"]
    headers, body = service.told[0]
    message = json.loads(body)
    assert message["data"] == {
        "study": 1,
        "revision": 1,
        "score": road.study().score,
        "link": "https://mammo.example/studies/1",
        "intended_use": "Research use only, not for diagnosis.",
    }
    assert headers["webhook-id"] == f"msg_{INSTALLATION.hex}_1_{round(notices(road)[0].happened_at * 1000)}"
    assert headers["webhook-signature"] == signature(
        SECRET, headers["webhook-id"], int(headers["webhook-timestamp"]), body
    )
    header = dcmread(mammogram_study.files[0], stop_before_pixels=True)
    sent = repr([(*head.items(), body) for head, body in service.told])
    assert not [
        value for value in (header.PatientID, str(header.PatientName), header.StudyInstanceUID) if value in sent
    ]


def test_each_event_is_told_when_it_happens_and_not_again_for_the_same_matter(
    road: Road, teller: Teller, service: ToldService, mammogram_study: DemoStudy
):
    first, second, third = mammogram_study.files[:3]
    road.all_of_it(first)
    teller.tell_due()
    assert told(service) == ["study.reported", "study.above_threshold"]
    road.all_of_it(second)
    teller.tell_due()
    assert told(service)[2:] == ["study.reported"], "its score was above the threshold before"
    road.receive(changed(third, PatientID="another"))
    teller.tell_due()
    assert told(service)[3:] == ["study.quarantined"]


def test_of_a_study_in_quarantine_only_that_is_told_and_without_a_score(
    road: Road, teller: Teller, service: ToldService, mammogram_study: DemoStudy
):
    first, second = mammogram_study.files[:2]
    road.all_of_it(first)
    with road.sessions.begin() as session:
        tell(session, session.get_one(Study, 1), StudyEvent.FAILED, road.clock())
        tell(session, session.get_one(Study, 1), StudyEvent.DISCORDANT, road.clock())
    assert all(notice.score is not None for notice in notices(road))
    road.receive(changed(second, PatientID="another"))
    teller.tell_due()
    assert told(service) == ["study.failed", "study.quarantined"]
    assert [json.loads(body)["data"]["score"] for _, body in service.told] == [None, None]
    assert [notice.event for notice in notices(road) if notice.score is None] == ["quarantined"]
    assert teller.tell_due() == 0
    with road.sessions.begin() as session:
        study = session.get_one(Study, 1)
        study.state = moved(study.state, StudyState.OPEN)
    teller.tell_due()
    assert told(service)[2:] == ["study.reported", "study.above_threshold", "study.discordant"]


def test_an_event_that_gets_the_number_of_a_dropped_one_has_another_id(
    road: Road, teller: Teller, service: ToldService, mammogram_study: DemoStudy
):
    road.all_of_it(mammogram_study.files[0])
    teller.tell_due()
    with road.sessions.begin() as session:  # as after a restore, or when the webhook was removed
        session.execute(delete(Notice))
    road.clock.seconds += 0.01
    with road.sessions.begin() as session:
        tell(session, session.get_one(Study, 1), StudyEvent.REPORTED, road.clock())
    teller.tell_due()
    assert notices(road)[0].id == 1
    ids = [headers["webhook-id"] for headers, _ in service.told]
    assert len(ids) == len(set(ids)) == 3


def test_a_study_on_which_the_radiologist_disagrees_is_told_as_discordant_once(
    road: Road, teller: Teller, service: ToldService, mammogram_study: DemoStudy
):
    image = dcmread(mammogram_study.files[0], stop_before_pixels=True)
    road.all_of_it(*mammogram_study.files)
    for category in (Category.TWO, Category.ONE):
        road.receive(report_on(image, finding(category, LEFT)))
        road.report()
    teller.tell_due()
    assert told(service)[2:] == ["study.reported", "study.discordant", "study.reported"]


def test_a_study_that_fails_is_told_once_until_a_person_retries_it(
    road: Road, teller: Teller, service: ToldService, mammogram_study: DemoStudy
):
    road.all_of_it(*mammogram_study.files)
    teller.tell_due()
    service.told.clear()
    deliverer = Deliverer("pacs", NeverTakes(), RetryPolicy(1, 1, 0), road.sessions, road.data_dir, road.clock)
    deliverer.deliver_due()
    assert {delivery.state for delivery in road.deliveries()} == {DeliveryState.DEAD}
    teller.tell_due()
    assert told(service) == ["study.failed"], "five results did not arrive, of one study"
    with road.sessions.begin() as session:
        retry_study(session, 1, road.clock())
    deliverer.deliver_due()
    teller.tell_due()
    assert told(service) == ["study.failed"] * 2


def test_an_image_that_cannot_be_read_is_told_as_a_failure(
    road: Road, teller: Teller, service: ToldService, mammogram_study: DemoStudy
):
    road.receive(mammogram_study.files[0])
    [image] = road.instances()
    (road.data_dir / image.path).write_bytes(b"damaged")
    road.read()
    teller.tell_due()
    assert told(service) == ["study.failed"]


def test_a_webhook_is_told_only_of_the_events_that_it_wants(road: Road, mammogram_study: DemoStudy):
    with road.sessions.begin() as session:
        subscribe(session, [Subscriber("a", (StudyEvent.QUARANTINED,), None), Subscriber("b", ALL, 0.51)])
    road.all_of_it(*mammogram_study.files)
    assert [(notice.webhook, notice.event) for notice in notices(road)] == [("b", "reported")]


def test_a_webhook_that_does_not_answer_is_tried_again_with_growing_waits_and_then_given_up(
    road: Road, teller: Teller, service: ToldService, mammogram_study: DemoStudy
):
    road.all_of_it(mammogram_study.files[0])
    service.answers = [503] * 100
    waits = []
    while (waiting := notices(road)[0]).state is DeliveryState.WAITING:
        assert teller.tell_due() == 1, "the second notice is not tried: it would wait as long"
        assert teller.tell_due() == 0
        waits.append(round(notices(road)[0].next_at - road.clock()))
        road.clock.seconds = notices(road)[0].next_at
    assert waits[:7] == [30, 60, 120, 240, 480, 960, 1920]
    assert waiting.state is DeliveryState.DEAD
    assert "503" in waiting.error
    assert len({headers["webhook-id"] for headers, _ in service.told}) == 1, "the receiver can drop a repeated message"
    [word] = view(road)
    assert (word.given_up, word.waiting, word.what) == (2, 0, "notice")
    service.answers = []
    with road.sessions.begin() as session:
        assert tell_again(session, road.clock(), webhook="ris") == 2
    teller.tell_due()
    assert [notice.state for notice in notices(road)] == [DeliveryState.SENT] * 2


def test_a_receiver_that_is_gone_is_not_tried_again(
    road: Road, teller: Teller, service: ToldService, mammogram_study: DemoStudy
):
    road.all_of_it(mammogram_study.files[0])
    service.answers = [410, 410]
    teller.tell_due()
    assert [notice.state for notice in notices(road)] == [DeliveryState.DEAD] * 2


@pytest.mark.parametrize("status", [302, 400, 401, 404, 500])
def test_a_message_that_is_refused_delays_no_other(
    road: Road, teller: Teller, service: ToldService, mammogram_study: DemoStudy, status
):
    road.all_of_it(mammogram_study.files[0])
    service.answers = [status]
    teller.tell_due()
    first, second = notices(road)
    assert (first.state, second.state) == (DeliveryState.WAITING, DeliveryState.SENT)
    assert len(service.told) == 2, "no redirect is followed"


def test_what_a_webhook_was_told_is_on_the_studys_road_and_a_retry_tells_it_again(
    road: Road, teller: Teller, service: ToldService, mammogram_study: DemoStudy
):
    road.all_of_it(mammogram_study.files[0])
    service.answers = [204, 410]
    teller.tell_due()
    with road.sessions.begin() as session:
        what = [event.what for event in road_of(session, 1).events]
        assert "Told webhook ris: reported (revision 1)" in what
        assert "Not told webhook ris: above_threshold (revision 1) after 1 attempt" in what
        assert retry_study(session, 1, road.clock()) == ["1 notice will be sent to webhooks again"]
    teller.tell_due()
    assert told(service)[-1] == "study.above_threshold"


def test_a_process_whose_settings_do_not_have_a_webhook_takes_nothing_from_it(
    road: Road, teller: Teller, service: ToldService, mammogram_study: DemoStudy
):
    road.all_of_it(mammogram_study.files[0])
    with road.sessions.begin() as session:
        assert subscribe(session, []) == []
        assert left_behind(session, []) == {"ris": 2}
        assert left_behind(session, ["ris"]) == {}
    road.all_of_it(mammogram_study.files[1])
    assert len(notices(road)) > 2, "it is told of events of after that start too"
    teller.tell_due()
    assert {notice.state for notice in notices(road)} == {DeliveryState.SENT}


def test_a_webhook_that_a_person_drops_is_told_nothing_more(road: Road, teller: Teller, mammogram_study: DemoStudy):
    road.all_of_it(mammogram_study.files[0])
    with road.sessions.begin() as session:
        assert unsubscribe(session, "ris") == 2
        assert left_behind(session, []) == {}
    assert notices(road) == []
    road.all_of_it(mammogram_study.files[1])
    assert notices(road) == []


def test_a_webhook_whose_events_changed_is_named_and_gets_the_new_ones(road: Road, mammogram_study: DemoStudy):
    with road.sessions.begin() as session:
        subscribe(session, [Subscriber("ris", ALL, 0.5)])
        assert subscribe(session, [Subscriber("ris", (StudyEvent.REPORTED,), None)]) == ["ris"]
        assert subscribe(session, [Subscriber("ris", (StudyEvent.REPORTED,), None)]) == []
    road.all_of_it(mammogram_study.files[0])
    assert [notice.event for notice in notices(road)] == [StudyEvent.REPORTED]


def test_a_secret_that_cannot_be_used_is_said_and_never_quoted(
    road: Road, teller: Teller, service: ToldService, secret_file: Path, mammogram_study: DemoStudy, caplog
):
    secret_file.write_text("whsec_c2hvcnQ=")
    road.all_of_it(mammogram_study.files[0])
    with caplog.at_level(logging.DEBUG):
        teller.tell_due()
    assert service.told == []
    said = notices(road)[0].error + caplog.text
    assert "whsec_ and 24 to 64 random bytes" in said
    assert "c2hvcnQ" not in said


@given(st.text(max_size=60))
def test_a_file_without_a_secret_is_refused(tmp_path_factory, text: str):
    file = tmp_path_factory.mktemp("secret") / "secret"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(SecretUnusable):
        secret_of(file)


class NeverTakes:
    """A destination that does not answer."""

    def send(self, path: Path) -> None:
        raise Unreachable("it does not answer")

    def close(self) -> None:
        """There is no connection."""


def view(road: Road) -> tuple[DestinationWord, ...]:
    with road.sessions.begin() as session:
        return webhook_words(session, ["ris"], road.clock())
