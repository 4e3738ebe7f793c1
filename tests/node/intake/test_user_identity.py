"""A sender that must state a user is refused without it (User Identity Negotiation, PS3.7 section D.3.3.7)."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path

import pytest
from pynetdicom import AE
from pynetdicom.pdu_primitives import UserIdentityNegotiation
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]  # made from tables at run time
from requesting import request
from running import eventually

from config.settings import Settings
from dicom_io.network.scp import AllowedSender
from dicom_io.network.throttle import FREE_TRIES
from dicom_io.network.user_identity import AllowedUser
from node.operations.check import user_can_be_known
from node.peers import callers

USERNAME, WITH_PASSCODE, KERBEROS = 1, 2, 3


@pytest.fixture
def passcode(tmp_path: Path) -> Path:
    file = tmp_path / "passcode"
    file.write_text("open sesame\n")
    return file


def accepted(node, kind: int | None, name: bytes = b"", passcode: bytes = b"", title: str = "PACS") -> bool:
    """Whether an association with this user identity is accepted."""
    ae = AE(title)
    ae.add_requested_context(Verification)
    items = []
    if kind is not None:
        stated = UserIdentityNegotiation()
        stated.user_identity_type, stated.primary_field = kind, name
        stated.positive_response_requested = False
        if kind == WITH_PASSCODE:
            stated.secondary_field = passcode
        items.append(stated)
    association = request(ae, node.listener.port, items=items)
    established = association.is_established
    if established:
        association.release()
    return established


@pytest.mark.parametrize(
    ("stated", "expected"),
    [
        ((WITH_PASSCODE, b"modality-7", b"open sesame"), True),
        ((WITH_PASSCODE, b"modality-7", b"open"), False),
        ((WITH_PASSCODE, b"modality-8", b"open sesame"), False),
        ((USERNAME, b"modality-7"), False),
        ((KERBEROS, b"open sesame"), False),
        ((None,), False),
    ],
)
def test_only_the_user_with_the_passcode_may_associate(start_node, passcode: Path, stated, expected: bool, caplog):
    node = start_node(senders=(AllowedSender("PACS", user=AllowedUser("modality-7", passcode)),))
    assert accepted(node, *stated) is expected
    assert ("does not state its user, or a wrong passcode" in caplog.text) is not expected
    assert "sesame" not in caplog.text


def test_a_user_without_a_passcode_is_known_by_the_name(start_node):
    node = start_node(senders=(AllowedSender("PACS", user=AllowedUser("modality-7")),))
    assert accepted(node, USERNAME, b"modality-7")
    assert not accepted(node, None)


def test_a_passcode_that_is_changed_or_gone_counts_at_once(start_node, passcode: Path, caplog):
    node = start_node(senders=(AllowedSender("PACS", user=AllowedUser("modality-7", passcode)),))
    passcode.write_text("another")
    assert accepted(node, WITH_PASSCODE, b"modality-7", b"another")
    passcode.write_text("")
    assert not accepted(node, WITH_PASSCODE, b"modality-7", b"another")
    passcode.unlink()
    assert not accepted(node, WITH_PASSCODE, b"modality-7", b"another")
    assert f"the user of 'PACS' cannot be known: {passcode} cannot be read: No such file" in caplog.text


def test_who_need_not_state_a_user_may(listening_node):
    assert accepted(listening_node, WITH_PASSCODE, b"anybody", b"anything")


@pytest.mark.skipif(shutil.which("storescu") is None, reason="storescu is not installed (Debian package dcmtk)")
def test_dcmtk_states_its_user(start_node, passcode: Path, mammogram, tmp_path: Path):
    node = start_node(senders=(AllowedSender("PACS", user=AllowedUser("modality-7", passcode)),))
    image = tmp_path / "image.dcm"
    mammogram().save_as(image, enforce_file_format=True)
    for password, status in (("open sesame", 0), ("wrong", 1)):
        arguments = ["-aet", "PACS", "-aec", "NODE", "-usr", "modality-7", "-pwd", password]
        address = ["127.0.0.1", str(node.listener.port)]
        sent = subprocess.run(["storescu", *arguments, *address, image], capture_output=True, check=False)
        assert bool(sent.returncode) is bool(status)
    assert len(node.instances()) == 1


def test_a_sender_that_also_reports_on_commitments_must_state_its_user_too(start_node, passcode: Path, tmp_path: Path):
    sender = {"ae_title": "PACS", "username": "modality-7", "passcode_file": passcode}
    reporting = {"name": "pacs", "ae_title": "PACS", "host": "127.0.0.1", "port": 104, "commitment": True}
    settings = Settings(data_dir=tmp_path, senders=[sender], destinations=[reporting])
    node = start_node(senders=tuple(callers(settings, time.time)))
    assert not accepted(node, None)
    assert not accepted(node, WITH_PASSCODE, b"modality-7", b"wrong")
    assert accepted(node, WITH_PASSCODE, b"modality-7", b"open sesame")


def test_whoever_tries_passcodes_must_wait_and_gets_in_with_the_right_one_afterwards(
    start_node, passcode: Path, caplog
):
    senders = [AllowedSender(title, user=AllowedUser("modality-7", passcode)) for title in ("PACS", "CT")]
    node = start_node(senders=tuple(senders))
    for number in range(FREE_TRIES):
        assert not accepted(node, WITH_PASSCODE, b"modality-7", b"%d" % number)
    assert not accepted(node, WITH_PASSCODE, b"modality-7", b"open sesame")
    assert "'PACS' at 127.0.0.1 did not prove its user several times, and must wait" in caplog.text
    assert accepted(node, WITH_PASSCODE, b"modality-7", b"open sesame", title="CT")
    again = lambda: accepted(node, WITH_PASSCODE, b"modality-7", b"open sesame") or None  # noqa: E731
    eventually("the wait is over", again)


@pytest.mark.parametrize(
    ("content", "warns"),
    [("open sesame", True), ("passwordpassword", True), ("modality-7modality-7", True), ("wgk7-Otter-laub-934", False)],
)
def test_a_passcode_that_is_easy_to_guess_is_a_warning_of_check(passcode: Path, content: str, warns: bool):
    passcode.write_text(content)
    found = user_can_be_known("PACS", AllowedUser("modality-7", passcode))
    assert (found.ok, found.warns) == (True, warns)
    assert content not in found.says
