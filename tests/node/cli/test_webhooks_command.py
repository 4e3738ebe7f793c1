"""`mammo-node webhooks`."""

from __future__ import annotations

import base64
import json

import pytest
from told_service import told_service

from node.store.events import StudyEvent, Subscriber, subscribe, tell
from node.store.states import DeliveryState, moved
from node.store.tables import Notice, Study
from node.webhooks.message import signature

SECRET = b"a secret of thirty-two letters !"


@pytest.fixture
def service(config):
    (config.parent / "secret").write_text(f"whsec_{base64.b64encode(SECRET).decode()}")
    with told_service() as service:
        webhook = f'[[webhooks]]\nname = "ris"\nurl = "{service.url}"\nsecret_file = "secret"\n'
        config.write_text(f'data_dir = "data"\n{webhook}')
        yield service


def test_a_webhook_is_tried_and_says_whether_it_took_the_message(command, config, service):
    assert "webhook ris took the message" in command("webhooks", "test", "ris", "--config", config).output
    headers, body = service.told[0]
    assert json.loads(body)["type"] == "test"
    stamped = headers["webhook-id"], int(headers["webhook-timestamp"])
    assert headers["webhook-signature"] == signature(SECRET, *stamped, body)
    service.answers = [401]
    assert "answers 401" in str(command("webhooks", "test", "ris", "--config", config).exception)
    assert "There is no webhook other" in str(command("webhooks", "test", "other", "--config", config).exception)


def test_what_was_given_up_is_listed_and_tried_again(command, config, service, sessions, a_study):
    number = a_study()
    with sessions.begin() as session:
        subscribe(session, [Subscriber("ris", (StudyEvent.REPORTED,), None)])
        tell(session, session.get_one(Study, number), StudyEvent.REPORTED, 0.0)
        session.flush()
        notice = session.query(Notice).one()
        notice.state = moved(notice.state, DeliveryState.DEAD)
        notice.error = "it does not answer"
    assert "1 given up, 0 wait" in command("webhooks", "list", "--config", config).output
    shown = command("status", number, "--config", config).output
    assert "reported to webhook ris: dead: it does not answer" in shown
    assert "1 notice will be sent again" in command("webhooks", "retry", "ris", "--config", config).output
    [word] = json.loads(command("webhooks", "list", "--json", "--config", config).output)
    assert (word["name"], word["given_up"], word["waiting"]) == ("ris", 0, 1)
