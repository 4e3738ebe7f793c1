"""`deliveries`: results for a destination that is no longer in the settings."""

from __future__ import annotations

import json

import pytest
from sqlalchemy import select

from config.settings import load
from node.operations.needs import Need, needs_now
from node.store.states import DeliveryState, StudyState
from node.store.tables import AuditEvent, Delivery, Study

PACS = '[[destinations]]\nname = "new"\nae_title = "NEW"\nhost = "127.0.0.1"\nport = 104\n'
WAITING = {"attempts": 0}


def test_status_names_deliveries_to_a_removed_destination_until_they_are_moved(command, config, a_study):
    a_study(delivery=WAITING)
    output = command("status", "-c", config).output
    assert "1 delivery waits for pacs, which is no longer in the settings" in output
    assert json.loads(command("status", "-c", config, "--json").output)["stranded"] == {"pacs": 1}
    assert command("deliveries", "move", "pacs", "new", "-c", config).exit_code != 0, "there is no such destination"
    config.write_text(config.read_text() + PACS)
    assert command("deliveries", "move", "pacs", "new", "-c", config).output == "1 delivery to pacs moved to new\n"
    assert "no destination any more" not in command("status", "-c", config).output
    assert command("deliveries", "drop", "new", "-c", config).exit_code != 0, "the node may be sending it"


def test_deliveries_to_a_removed_destination_can_be_dropped(command, config, a_study):
    a_study(delivery=WAITING)
    assert command("deliveries", "drop", "pacs", "-c", config).output == "1 delivery to pacs dropped\n"
    assert "pacs" not in command("status", "-c", config).output


@pytest.mark.parametrize("state", DeliveryState)
def test_results_are_sent_again_whatever_became_of_them(command, config, sessions, a_study, state):
    config.write_text(config.read_text() + PACS.replace("new", "pacs"))
    before = {"state": state, "attempts": 3, "error": "e", "transaction_uid": "1.2", "commitment_asked_at": 5.0}
    a_study(StudyState.REPORTED, delivery=before)
    assert command("deliveries", "resend", 1, "pacs", "-c", config).output == "study 1: 1 result will be sent to pacs\n"
    with sessions() as session:
        delivery = session.scalars(select(Delivery)).one()
    assert delivery.state is DeliveryState.WAITING
    if state is not DeliveryState.WAITING:
        assert (delivery.attempts, delivery.error, delivery.transaction_uid) == (0, "", None)


def test_all_that_was_given_up_for_a_destination_is_sent_again_by_one_command(command, config, sessions, a_study):
    config.write_text(config.read_text() + PACS.replace("new", "pacs") + PACS)
    dead = {"state": DeliveryState.DEAD, "attempts": 9, "error": "it does not answer"}
    for _ in range(3):
        a_study(StudyState.REPORTED, delivery=dead)
    a_study(StudyState.REPORTED, delivery={"attempts": 2, "error": "it does not answer", "next_at": 9e9})
    a_study(StudyState.REPORTED, delivery={"state": DeliveryState.SENT, "attempts": 1, "sent_at": 1.0})
    replaced = a_study(StudyState.REPORTED, delivery=dead)
    quarantined = a_study(StudyState.QUARANTINED, delivery=dead)
    elsewhere = a_study(StudyState.REPORTED, delivery={**dead, "destination": "new"})
    with sessions.begin() as session:
        session.get_one(Study, replaced).revision = 2
    cures = [need.cure for need in needs_of(config, sessions)]
    assert "Mend the destination, then `mammo-node deliveries retry pacs`." in cures
    ran = command("deliveries", "retry", "pacs", "-c", config)
    assert ran.output == (
        "pacs: 3 results that had been given up will be sent again, and 1 result sooner than they would be\n"
    )
    with sessions() as session:
        left = {delivery.result.study_id for delivery in session.query(Delivery) if delivery.state == "dead"}
        due = [delivery for delivery in session.query(Delivery) if delivery.state == "waiting"]
        assert left == {replaced, quarantined, elsewhere}
        assert len(due) == 4
        assert all(delivery.next_at < 9e9 for delivery in due)
        (entered,) = (event.message for event in session.query(AuditEvent))
    assert "retried deliveries: 4 to pacs" in json.dumps(entered)
    assert command("deliveries", "retry", "pacs", "-c", config).output.startswith("pacs: 0 results")
    assert command("deliveries", "retry", "nobody", "-c", config).exit_code != 0


def needs_of(config, sessions) -> tuple[Need, ...]:
    with sessions() as session:
        return needs_now(session, load(config), 1000.0)


def test_results_are_sent_to_a_destination_that_had_none_of_them(command, config, sessions, a_study):
    config.write_text(config.read_text() + PACS)
    a_study(StudyState.REPORTED, delivery=WAITING)
    assert command("deliveries", "resend", 1, "new", "-c", config).exit_code == 0
    with sessions() as session:
        assert set(session.scalars(select(Delivery.destination))) == {"pacs", "new"}


@pytest.mark.parametrize(
    ("state", "destination", "profile", "why"),
    [
        (StudyState.REPORTED, "new", "overlay-only", "nothing of it is written as new gets it"),
        (StudyState.REPORTED, "elsewhere", "ohif", "There is no destination elsewhere"),
        (StudyState.QUARANTINED, "new", "ohif", "Study 1 is quarantined"),
        (StudyState.OPEN, "new", "ohif", "Study 1 is open"),
    ],
)
def test_what_cannot_be_sent_again_is_refused_with_its_reason(
    command, config, sessions, a_study, state, destination, profile, why
):
    config.write_text(config.read_text() + PACS + f'profile = "{profile}"\n')
    a_study(state, delivery=WAITING)
    ran = command("deliveries", "resend", 1, destination, "-c", config)
    assert ran.exit_code != 0
    assert why in f"{ran.output}{ran.exception}"
    with sessions() as session:
        assert session.scalars(select(Delivery)).one().destination == "pacs"
