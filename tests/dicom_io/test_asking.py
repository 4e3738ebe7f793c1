"""C-ECHO and the query for a study's number of images."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pydicom import Dataset
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag
from storing_pacs import CALLING, Pacs

from dicom_io.errors import Rejected, Unreachable
from dicom_io.network.peer import Peer
from dicom_io.network.scu import count_instances, echo


@pytest.fixture
def pacs() -> Iterator[Pacs]:
    peer = Pacs()
    peer.start()
    yield peer
    peer.stop()


def test_echo_finds_a_peer_that_answers(pacs):
    echo(pacs.as_peer())
    assert pacs.associations == 1


def test_echo_distinguishes_a_closed_port_from_a_peer_that_does_not_answer(closed_port, silent_port):
    for port in (closed_port, silent_port):
        with pytest.raises(Unreachable):
            echo(Peer("PACS", "127.0.0.1", port, 0.3, CALLING))


def study(uid: str, count: int | None) -> Dataset:
    match = Dataset()
    match.QueryRetrieveLevel = "STUDY"
    match.StudyInstanceUID = uid
    match.NumberOfStudyRelatedInstances = count
    return match


def misspelt(count: str) -> Dataset:
    """An answer whose count is no integer string, as received from the network."""
    match = study("1.2.3", None)
    match["NumberOfStudyRelatedInstances"] = RawDataElement(
        Tag("NumberOfStudyRelatedInstances"), "IS", len(count), count.encode(), 0, True, True
    )
    return match


@pytest.mark.parametrize(
    ("answers", "count"),
    [
        ([(0xFF00, study("1.2.3", 4))], 4),
        ([(0xFF00, study("1.2.3", None))], None),
        ([(0xFF00, study("1.2.4", 7)), (0xFF00, study("1.2.3", 4))], 4),
        ([], None),
        ([(0xFF00, misspelt("n/a"))], None),
        ([(0xFF00, misspelt("4\\5"))], None),
        ([(0xFF00, misspelt("-4"))], None),
        ([(0xFF00, misspelt("4.5"))], None),
        ([(0xFF00, misspelt("999999999999"))], None),
    ],
    ids=[
        "returned",
        "count not returned",
        "other studies are ignored",
        "study not known",
        "no number",
        "two numbers",
        "below zero",
        "a fraction",
        "more than a count can be",
    ],
)
def test_a_source_is_queried_for_its_number_of_images_of_a_study(pacs, answers, count):
    pacs.find_answers = answers
    assert count_instances(pacs.as_peer(), "1.2.3") == count


def test_a_failed_query_is_reported(pacs):
    pacs.find_answers = [(0xA700, None)]
    with pytest.raises(Rejected):
        count_instances(pacs.as_peer(), "1.2.3")
