"""What needs a person is mailed once, in digests, by a real mail server."""

from __future__ import annotations

import logging
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from mail_server import PASSWORD, USER, MailServer, mail_server
from pydantic import ValidationError
from road import Road
from sqlalchemy import select

from config.mail import Mail
from config.settings import Settings
from node.mail.digest import Digest
from node.mail.server import MailRefused, mail_echo
from node.operations.check import mail_server_answers
from node.store.states import StudyState, moved
from node.store.tables import Study

pytestmark = pytest.mark.slow

TO_AND_FROM = {"sender": "node@hospital.example", "recipients": ("pacs@hospital.example", "ann@hospital.example")}


@pytest.fixture
def road(tmp_path: Path) -> Road:
    return Road(tmp_path / "data", destinations=())


@pytest.fixture
def server() -> Iterator[MailServer]:
    with mail_server() as server:
        yield server


@pytest.fixture
def digest(road: Road, server: MailServer) -> Digest:
    """Mails what needs a person since 15 minutes, without TLS."""
    mail = Mail(host="127.0.0.1", port=server.port, security="none", **TO_AND_FROM)
    settings = Settings(data_dir=road.data_dir, mail=mail, receiver={"min_free_mb": 0}, web={"port": 8080})
    return Digest(settings, road.sessions, road.clock)


def quarantine(road: Road) -> None:
    with road.sessions.begin() as session:
        number = session.query(Study).count()
        study = Study(
            study_instance_uid=f"1.2.826.0.1.77.{number}", source="PACS", state=StudyState.QUARANTINED,
            first_received_at=0.0, last_received_at=0.0, opened_at=0.0,
        )  # fmt: skip
        session.add(study)


def minutes(road: Road, digest: Digest, number: int) -> None:
    """As many minutes pass, with a tick every five."""
    for _ in range(number // 5):
        road.clock.seconds += 300
        digest.run()


def texts(server: MailServer) -> list[str]:
    return [mail.get_payload(decode=True).decode() for mail in server.mails]


def test_nothing_is_mailed_while_all_is_well(road: Road, digest: Digest, server: MailServer):
    minutes(road, digest, 20)
    assert server.mails == []


def test_studies_of_a_quarter_of_an_hour_are_one_mail_and_the_same_matter_is_not_mailed_again(
    road: Road, digest: Digest, server: MailServer
):
    quarantine(road)
    minutes(road, digest, 10)
    quarantine(road)
    assert server.mails == []
    minutes(road, digest, 120)
    [mail] = server.mails
    assert mail["Subject"] == "MAMMO_NODE: 1 thing needs a person"
    assert mail["To"] == "pacs@hospital.example, ann@hospital.example"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["Message-ID"].endswith("@hospital.example>")
    [text] = texts(server)
    assert "2 studies in quarantine: nothing of them is sent" in text
    assert "http://127.0.0.1:8080/" in text
    assert "1.2.826" not in text


def test_another_study_is_another_matter_and_what_was_mended_is_new_when_it_comes_again(
    road: Road, digest: Digest, server: MailServer
):
    quarantine(road)
    minutes(road, digest, 20)
    quarantine(road)
    minutes(road, digest, 20)
    assert len(server.mails) == 2
    with road.sessions.begin() as session:
        for study in session.scalars(select(Study)):
            study.state = moved(study.state, StudyState.OPEN)
    minutes(road, digest, 20)
    assert len(server.mails) == 2
    quarantine(road)
    minutes(road, digest, 20)
    assert "1 study in quarantine" in texts(server)[2]


def test_what_is_mended_within_the_wait_is_not_mailed(road: Road, digest: Digest, server: MailServer):
    quarantine(road)
    minutes(road, digest, 10)
    with road.sessions.begin() as session:
        study = session.scalars(select(Study)).one()
        study.state = moved(study.state, StudyState.OPEN)
    minutes(road, digest, 30)
    assert server.mails == []


def test_a_restart_repeats_no_mail(road: Road, digest: Digest, server: MailServer):
    quarantine(road)
    minutes(road, digest, 20)
    minutes(road, Digest(digest.settings, road.sessions, road.clock), 60)
    assert len(server.mails) == 1


def test_a_mail_that_the_server_does_not_take_is_written_again_with_what_needs_a_person_then(
    road: Road, digest: Digest, server: MailServer, caplog
):
    server.refuses = "451 later"
    quarantine(road)
    with caplog.at_level(logging.WARNING):
        minutes(road, digest, 20)
    assert "answers 451" in caplog.text
    quarantine(road)
    server.refuses = ""
    minutes(road, digest, 20)
    assert ["2 studies in quarantine" in text for text in texts(server)] == [True]


@pytest.mark.parametrize(
    ("fault", "warned"),
    [
        ({"unknown": ("ann@hospital.example",)}, "refuses 1 of 2 recipients"),
        ({"goodbye": "451 not now"}, ""),
        ({"unknown": ("ann@hospital.example",), "goodbye": "421 too busy"}, "refuses 1 of 2 recipients"),
    ],
)
def test_who_has_a_mail_does_not_get_it_again_whatever_goes_wrong_after(
    fault, warned, road: Road, digest: Digest, server: MailServer, caplog
):
    for name, value in fault.items():
        setattr(server, name, value)
    quarantine(road)
    with caplog.at_level(logging.WARNING):
        minutes(road, digest, 30)
    assert len(server.mails) == 1
    assert warned in caplog.text
    assert "@" not in caplog.text


def test_a_mail_that_no_recipient_may_have_is_tried_again(road: Road, digest: Digest, server: MailServer, caplog):
    server.unknown = TO_AND_FROM["recipients"]
    quarantine(road)
    minutes(road, digest, 20)
    assert "refuses the recipients: look at recipients" in caplog.text
    server.unknown = ()
    minutes(road, digest, 20)
    assert len(server.mails) == 1


@pytest.mark.parametrize("fault", [ValueError, IndexError, AttributeError])
def test_a_mail_that_fails_in_a_way_nobody_foresaw_stops_nothing_and_is_sent_later(
    fault, digest: Digest, road: Road, server: MailServer, monkeypatch, caplog
):
    def fails(*_: object) -> None:
        raise fault("quotes a password")

    monkeypatch.setattr("node.mail.digest.send", fails)
    quarantine(road)
    minutes(road, digest, 20)
    monkeypatch.undo()
    minutes(road, digest, 5)
    assert "is not mailed" in caplog.text
    assert "quotes a password" not in caplog.text
    assert len(server.mails) == 1


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of 127.0.0.1, self-signed, with its key."""
    file = tmp_path_factory.mktemp("certificate") / "server.pem"
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"]
    subprocess.run(
        [*made, "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", file, "-out", file.with_suffix(".crt")],
        check=True, capture_output=True,
    )  # fmt: skip
    with file.open("ab") as both:
        both.write(file.with_suffix(".crt").read_bytes())
    return file


@pytest.fixture
def secured(certificate: Path, tmp_path: Path) -> Iterator[Callable[..., Mail]]:
    """Settings for a server that demands STARTTLS and an account."""
    (tmp_path / "password").write_text(f"{PASSWORD}\n")
    with mail_server(certificate) as server:

        def settings(**changes: object) -> Mail:
            values = {
                "host": "127.0.0.1", "port": server.port, "ca_file": certificate, "user": USER,
                "password_file": tmp_path / "password", **TO_AND_FROM,
            }  # fmt: skip
            return Mail(**{**values, **changes})

        yield settings


def test_over_starttls_and_with_an_account(secured, tmp_path: Path):
    mail_echo(secured())
    answers = mail_server_answers(Settings(data_dir=tmp_path, mail=secured()))
    assert (answers.ok, answers.says.startswith("what needs a person is mailed to pacs@")) == (True, True)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"user": "other"}, "does not let the node in"),
        ({"ca_file": None}, "no secure connection"),
        ({"security": "tls"}, "no secure connection"),
        ({"password_file": Path("/nowhere")}, "cannot be read"),
        ({"ca_file": Path("/nowhere")}, "ca_file /nowhere cannot be read"),
        ({"port": 1}, "does not answer"),
        ({"host": "a" * 70 + ".example"}, "look at host"),
        ({"user": "müller"}, "not ASCII: give the account others"),
    ],
)
def test_a_server_that_cannot_be_used_is_named_with_the_cure_and_without_the_password(secured, changes, says):
    with pytest.raises(MailRefused) as refused:
        mail_echo(secured(**changes))
    assert says in str(refused.value)
    assert PASSWORD not in str(refused.value)


@pytest.mark.parametrize("password", ["pässwort", "密码"])
def test_a_password_that_is_not_ascii_stops_nothing_and_is_named_with_the_cure_by_check_too(
    password: str, secured, road: Road, tmp_path: Path, caplog
):
    (tmp_path / "password").write_text(password, encoding="utf-8")
    settings = Settings(data_dir=road.data_dir, mail=secured(), receiver={"min_free_mb": 0})
    quarantine(road)
    minutes(road, Digest(settings, road.sessions, road.clock), 20)
    checked = mail_server_answers(settings)
    assert not checked.ok
    for said in (caplog.text, checked.says):
        assert "password in password_file, has characters that are not ASCII: give the account others" in said
        assert password not in said


@pytest.mark.parametrize(
    "values",
    [
        {"host": "mail.example"},
        {"host": "mail.example", "sender": "a@b.example"},
        {"host": "mail.example", **TO_AND_FROM, "user": "x"},
        {"host": "mail.example", **TO_AND_FROM, "user": "x", "password_file": "x", "security": "none"},
        {"host": "mail.example", **TO_AND_FROM, "sender": "a@b.example\nBcc: c@d.example"},
    ],
)
def test_settings_that_could_mail_nothing_or_show_a_password_are_refused(values):
    with pytest.raises(ValidationError):
        Mail(**values)
