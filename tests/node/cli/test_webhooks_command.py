"""`mammo-node webhooks`."""

from __future__ import annotations

import base64
import json
import time

import pytest
from told_service import told_service

from config.settings import load
from node.operations.needs import needs_now
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


def test_a_webhook_that_is_no_longer_in_the_settings_is_named_until_it_is_dropped(command, config, sessions, a_study):
    number = a_study()
    with sessions.begin() as session:
        subscribe(session, [Subscriber("old", (StudyEvent.REPORTED,), None)])
        tell(session, session.get_one(Study, number), StudyEvent.REPORTED, 0.0)
    said = "1 notice waits for webhook old, which is no longer in the settings"
    assert said in command("status", "--config", config).output
    assert json.loads(command("status", "--json", "--config", config).output)["stranded_notices"] == {"old": 1}
    with sessions() as session:
        assert said in [need.says.partition(";")[0] for need in needs_now(session, load(config), time.time())]
    assert command("webhooks", "drop", "old", "--config", config).output == "1 notice for webhook old dropped\n"
    assert "old" not in command("status", "--config", config).output


def test_a_webhook_of_the_settings_is_not_dropped(command, config, service):
    assert "remove it there first" in str(command("webhooks", "drop", "ris", "--config", config).exception)
