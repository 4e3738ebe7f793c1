"""What would be done with a DICOM file, asked on the page."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from browsing import ORIGIN, Browsing, words
from httpx2 import Response
from road import Road

from config.peers import DicomDestination, Sender
from config.web import Role
from node.demo.studies import DemoStudy
from node.operations.accounts import add

PASSWORD = "a long enough one"
PACS = DicomDestination(name="pacs", ae_title="PACS", host="127.0.0.1", port=1)
RESEARCH = {"name": "research", "calling_ae_titles": ["BUS"], "read": False}


@pytest.fixture
def signed_in(browse, road: Road):
    def start(role: Role, **settings: object) -> Browsing:
        with road.sessions.begin() as session:
            add(session, "ann", role, PASSWORD, road.clock())
        senders = (Sender(ae_title="PACS"), Sender(ae_title="BUS"))
        browser = browse(road, destinations=(PACS,), senders=senders, routes=[RESEARCH], **settings)
        browser.send("/sign-in", "/sign-in", name="ann", password=PASSWORD)
        return browser

    return start


def upload(browser: Browsing, content: bytes, sender: str = "", of: str = "/routes") -> Response:
    return browser.client.post(
        "/routes/test",
        data={"csrf": browser.token(of), "sender": sender},
        files={"file": ("image.dcm", content)},
        headers={"Origin": ORIGIN},
    )


@pytest.mark.parametrize(
    ("sender", "says"),
    [
        ("PACS", "It is read. Results go to pacs."),
        ("BUS", "It is not read: the route research says that it is not read."),
        ("", "research: does not fit: the calling AE title is not known"),
    ],
)
def test_a_file_is_decided_as_if_its_sender_sent_it_and_is_not_kept(
    signed_in, road: Road, mammogram_study: DemoStudy, tmp_path, monkeypatch, sender, says
):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = {path for path in road.data_dir.rglob("*") if path.suffix == ".dcm"}
    answer = upload(signed_in(Role.OPERATOR), mammogram_study.files[0].read_bytes(), sender)
    assert says in words(answer.text).replace(" .", ".")
    assert {path for path in road.data_dir.rglob("*") if path.suffix == ".dcm"} == before
    assert not list(Path(tmp_path).glob("routes-test-*"))


def test_what_is_no_dicom_file_is_refused_with_its_reason(signed_in):
    answer = upload(signed_in(Role.OPERATOR), b"a letter")
    assert (answer.status_code, "not a DICOM file" in answer.text) == (422, True)


def test_a_viewer_tests_nothing(signed_in, mammogram_study: DemoStudy):
    browser = signed_in(Role.VIEWER)
    assert "mammo-node routes test" in browser.text("/routes")
    assert upload(browser, mammogram_study.files[0].read_bytes(), of="/studies").status_code == 403


@pytest.mark.parametrize(("path", "size"), [("/sign-in", 1_100_000), ("/routes/test", 2_100_000), ("/check", 10**7)])
def test_a_form_that_is_too_large_is_refused_before_it_is_kept(browse, road: Road, path, size):
    browser = browse(road, receiver={"max_image_mb": 1})
    answer = browser.client.post(path, files={"file": ("a", bytes(size))}, headers={"Origin": ORIGIN})
    assert (answer.status_code, "larger than" in answer.text) == (413, True)
