"""Results are found and retrieved by DICOMweb, and nothing else is."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import httpx
import pytest
from browsing import application_of
from dicomweb_client import DICOMwebClient
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from programs import token_of
from pydicom import Dataset, dcmread
from requests import Session
from road import Road, changed
from serving import serving
from sqlalchemy import select

from config.settings import Settings
from config.web import Role
from node.demo.studies import DemoStudy
from node.store.tables import Study


@pytest.fixture
def address(reported: Road) -> Iterator[str]:
    """Of the DICOMweb service of a node that has reported a study."""
    with serving(application_of(reported, Settings(data_dir=reported.data_dir))) as page:
        yield f"{page}/dicom-web"


@pytest.fixture
def client(reported: Road, address: str) -> DICOMwebClient:
    """With the token of an operator."""
    session = Session()
    session.headers["Authorization"] = f"Bearer {token_of(reported, Role.OPERATOR)}"
    return DICOMwebClient(address, session=session)


def uid_of(road: Road) -> str:
    return road.study().study_instance_uid


def test_a_reported_study_is_found_with_its_results_and_without_its_images(client: DICOMwebClient, reported: Road):
    [study] = [Dataset.from_json(found) for found in client.search_for_studies()]
    assert study.StudyInstanceUID == uid_of(reported)
    assert list(study.ModalitiesInStudy) == ["SEG", "SR"]
    assert study.NumberOfStudyRelatedInstances == 5
    series = [Dataset.from_json(found) for found in client.search_for_series(uid_of(reported))]
    assert {one.Modality for one in series} == {"SEG", "SR"}
    assert sum(one.NumberOfSeriesRelatedInstances for one in series) == 5
    instances = [Dataset.from_json(found) for found in client.search_for_instances(uid_of(reported))]
    assert {one.SOPInstanceUID for one in instances} == {result.SOPInstanceUID for result in reported.results()}
    images = {row.sop_instance_uid for row in reported.instances()}
    assert not images & {one.SOPInstanceUID for one in instances}


@pytest.mark.parametrize("key", ["PatientID", "00100020", "StudyInstanceUID"])
def test_a_study_is_found_by_what_leads_to_it_and_no_other_is(reported: Road, address: str, key):
    value = uid_of(reported) if key == "StudyInstanceUID" else reported.instances()[0].patient_id
    headers = {"Authorization": f"Bearer {token_of(reported, Role.OPERATOR)}"}
    found, others = (
        httpx.get(f"{address}/studies", params={key: asked}, headers=headers) for asked in (value, f"{value}1")
    )
    assert [len(answer.json()) for answer in (found, others)] == [1, 0]


def test_a_key_that_is_not_matched_is_named(reported: Road, address: str):
    headers = {"Authorization": f"Bearer {token_of(reported, Role.OPERATOR)}"}
    asked = {"StudyDate": "20200101-", "limit": "5", "includefield": "all"}
    answer = httpx.get(f"{address}/studies", params=asked, headers=headers)
    assert answer.headers["Warning"] == '299 mammo-node "not matched: StudyDate"'
    assert httpx.get(f"{address}/studies", params={"limit": "x"}, headers=headers).status_code == 400


def test_results_are_retrieved_as_destinations_get_them(client: DICOMwebClient, reported: Road):
    written = {result.SOPInstanceUID: result for result in reported.results()}
    whole = client.retrieve_study(uid_of(reported))
    assert {one.SOPInstanceUID: one for one in whole} == written
    for one in whole:
        again = client.retrieve_instance(uid_of(reported), one.SeriesInstanceUID, one.SOPInstanceUID)
        assert again == written[one.SOPInstanceUID]
        [metadata] = client.retrieve_series_metadata(uid_of(reported), one.SeriesInstanceUID)[:1]
        assert Dataset.from_json(metadata).SeriesInstanceUID == one.SeriesInstanceUID


def test_one_instance_is_given_alone_to_who_asks_so(reported: Road, address: str):
    result = reported.results("SR")[0]
    path = f"/studies/{uid_of(reported)}/series/{result.SeriesInstanceUID}/instances/{result.SOPInstanceUID}"
    headers = {"Authorization": f"Bearer {token_of(reported, Role.OPERATOR)}"}
    alone = httpx.get(address + path, headers={**headers, "Accept": "application/dicom"})
    assert alone.headers["Content-Type"] == "application/dicom"
    assert httpx.get(address + path, headers={**headers, "Accept": "image/jpeg"}).status_code == 406


@pytest.mark.parametrize("path", ["/studies", "/studies/{}", "/studies/{}/series", "/studies/{}/metadata"])
def test_whoever_may_not_see_patients_gets_nothing(reported: Road, address: str, path):
    for token, status in ((token_of(reported, Role.VIEWER), 403), ("made-up", 401)):
        answer = httpx.get(address + path.format(uid_of(reported)), headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == status
        assert uid_of(reported) not in answer.text


def test_an_image_that_was_received_is_not_given(reported: Road, address: str, mammogram_study: DemoStudy):
    image = dcmread(mammogram_study.files[0], stop_before_pixels=True)
    path = f"/studies/{image.StudyInstanceUID}/series/{image.SeriesInstanceUID}/instances/{image.SOPInstanceUID}"
    headers = {"Authorization": f"Bearer {token_of(reported, Role.OPERATOR)}"}
    assert httpx.get(address + path, headers=headers).status_code == 404


def test_nothing_of_a_study_in_quarantine_is_given_and_nothing_that_was_replaced(
    program: Callable[..., TestClient], road: Road, mammogram_study: DemoStudy
):
    first, second, third = mammogram_study.files[:3]
    road.all_of_it(changed(first, AccessionNumber="A1"))
    road.all_of_it(second)
    operator = program(road, Role.OPERATOR)
    found = [operator.get(f"/dicom-web/studies?AccessionNumber={asked}").json() for asked in ("A1", "A2")]
    assert [len(studies) for studies in found] == [1, 0]
    given = operator.get(f"/dicom-web/studies/{uid_of(road)}/instances").json()
    now = {result.SOPInstanceUID for result in road.results(revision=2)}
    assert {Dataset.from_json(one).SOPInstanceUID for one in given} == now
    assert len(now) < len(road.results())
    road.receive(changed(third, PatientID="another"))
    assert operator.get(f"/dicom-web/studies/{uid_of(road)}").status_code == 404
    assert operator.get("/dicom-web/studies").json() == []


def test_a_result_that_cannot_be_read_hides_no_other_study_and_its_own_says_so(
    program: Callable[..., TestClient], road: Road, mammogram_study: DemoStudy, caplog: pytest.LogCaptureFixture
):
    first = mammogram_study.files[0]
    other = "1.2.826.0.1.3680043.8.498.9"
    road.all_of_it(first)
    road.all_of_it(changed(first, StudyInstanceUID=other, SOPInstanceUID=f"{other}.1"))
    operator = program(road, Role.OPERATOR)
    with road.sessions.begin() as session:
        damaged, sound = session.scalars(select(Study).order_by(Study.id))
        uids = damaged.study_instance_uid, sound.study_instance_uid
        files = [road.data_dir / result.path for result in damaged.results]
        sound_file = road.data_dir / sound.results[0].path
    for content in (None, b"", b"damaged", files[0].read_bytes()[:700], sound_file.read_bytes()):
        for file in files:
            file.unlink(missing_ok=True)
            if content is not None:
                file.write_bytes(content)
        found = operator.get("/dicom-web/studies")
        assert [one["0020000D"]["Value"] for one in found.json()] == [[uids[1]]]
        answer = operator.get(f"/dicom-web/studies/{uids[0]}/instances")
        assert (answer.status_code, "cannot be read" in answer.text or "is damaged" in answer.text) == (503, True)
        assert operator.get(f"/dicom-web/studies/{uids[1]}/instances").status_code == 200
    assert "study 1: the file of a result" in caplog.text
    assert not [uid for uid in uids if uid in caplog.text]


@given(st.text(max_size=20))
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_a_key_is_called_the_search_is_answered(listing: TestClient, name: str):
    answer = listing.get("/dicom-web/studies", params={f"a{name}": "1"})
    assert answer.status_code == 200
    assert answer.headers["Warning"].startswith('299 mammo-node "not matched: ')


@pytest.fixture
def listing(program: Callable[..., TestClient], road: Road) -> TestClient:
    """An operator's program at a node without studies."""
    return program(road, Role.OPERATOR)
