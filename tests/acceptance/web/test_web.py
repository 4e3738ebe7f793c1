"""The administrator's way through the page, with a real Orthanc and a real browser."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from assessing import oru
from chromium import chromium
from forwarding import Forwarder, forwarder
from hl7.client import MLLPClient
from orthanc import Orthanc
from playwright.sync_api import Browser
from ports import held_port
from pydicom import dcmread
from running import RunningNode, eventually
from small_bundles import calibrate_flat, shipped_bundle_with
from web_page import WebPage

from node.demo.studies import DemoStudy

pytestmark = [pytest.mark.acceptance, pytest.mark.slow]

PASSWORD = "a long enough one"


@pytest.fixture(scope="module")
def destination(orthanc: Orthanc) -> Iterator[Forwarder]:
    """Orthanc as the destination; it is down until it is switched on."""
    with forwarder(orthanc.dicom_port) as made:
        yield made


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with held_port() as port:
        yield f"http://127.0.0.1:{port}"


@pytest.fixture(scope="module")
def hl7_port() -> Iterator[int]:
    with held_port() as port:
        yield port


@pytest.fixture(scope="module")
def node(
    orthanc: Orthanc,
    destination: Forwarder,
    address: str,
    hl7_port: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[RunningNode]:
    """A node that gives up a destination after a second and implies 4A for every breast, with an administrator's
    account."""
    folder = tmp_path_factory.mktemp("node")
    bundle = shipped_bundle_with(folder / "eager", confidence=0.01, most=2, mirrored=False)
    calibrate_flat(bundle)
    node = RunningNode(
        folder,
        f"""
[[senders]]
ae_title = "{orthanc.ae_title}"
[closing]
four_views_quiet_s = 1
[reader]
bundle = "{bundle}"
threads = 1
[hl7]
port = {hl7_port}
[web]
port = {address.rpartition(":")[2]}
viewer_url = "{orthanc.url}/viewer?study={{StudyInstanceUID}}"
[[destinations]]
name = "orthanc"
ae_title = "{orthanc.ae_title}"
host = "127.0.0.1"
port = {destination.port}
retry_first_s = 0.5
dead_after_s = 1
[receiver]
ae_title = "MAMMO_NODE"
""",
    )
    orthanc.knows_modality("mammo-node", "MAMMO_NODE", "127.0.0.1", node.port)
    node.start()
    (folder / "password").write_text(PASSWORD)
    made = node.command("users", "add", "admin", "--role", "administrator", "--password-file", str(folder / "password"))
    assert made.returncode == 0, made.stderr
    yield node
    node.end()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def window(node: RunningNode, browser: Browser, address: str) -> Iterator[WebPage]:
    """An administrator's window."""
    window = WebPage(browser, address)
    eventually("the page answers", lambda: _answers(window))
    window.sign_in("admin", PASSWORD)
    yield window
    window.close()


@pytest.fixture(scope="module")
def arrived(window: WebPage, orthanc: Orthanc, mammogram_study: DemoStudy) -> WebPage:
    """The list of studies, open while Orthanc sends a study."""
    window.go("/studies")
    window.shows("No study has come so far.")
    for file in mammogram_study.files:
        study = orthanc.upload(file)
    orthanc.post("/modalities/mammo-node/store", study)
    window.page.get_by_role("link", name="1", exact=True).wait_for()
    return window


@pytest.fixture(scope="module")
def delivered(arrived: WebPage, destination: Forwarder) -> WebPage:
    """The page of the study, which failed to reach its destination, and was retried."""
    arrived.page.get_by_role("link", name="1", exact=True).click()
    arrived.shows("results did not reach orthanc")
    destination.switch_on()
    arrived.page.get_by_role("button", name="Retry").click()
    arrived.shows("will be sent to orthanc again")
    arrived.shows("It was read, reported and delivered.")
    return arrived


def _answers(window: WebPage) -> bool:
    try:
        window.go("/health/live")
    except Exception:  # noqa: BLE001 - whatever the browser says while nobody listens
        return False
    return True


def test_a_study_appears_by_itself_is_opened_and_retried_after_its_destination_was_down(
    delivered: WebPage, orthanc: Orthanc, mammogram_study: DemoStudy
):
    study = orthanc.study_of(mammogram_study.study_instance_uid)
    assert study is not None
    assert orthanc.instances(study, "SR")
    assert delivered.page.locator(".picture img").count() == 4
    loaded = "images => images.every(image => image.complete && image.naturalWidth > 0)"
    delivered.page.locator(".picture img").last.scroll_into_view_if_needed()
    assert eventually("the pictures are there", lambda: delivered.page.locator(".picture img").evaluate_all(loaded))
    href = delivered.page.get_by_role("link", name="Open in the viewer").get_attribute("href")
    assert href == f"{orthanc.url}/viewer?study={mammogram_study.study_instance_uid}"


def test_a_lesion_is_hidden_and_shown_again(delivered: WebPage):
    box = delivered.page.locator("[data-shows]").first
    lesion = delivered.page.locator(f"#{box.get_attribute('data-shows')}")
    box.uncheck()
    assert not lesion.is_visible()
    box.check()
    assert lesion.is_visible()


def test_a_study_is_read_again_from_the_page_and_its_next_revision_appears_by_itself(delivered: WebPage):
    delivered.page.get_by_role("button", name="Read again").click()
    delivered.shows("Revision 2 reported")
    delivered.shows("It was read again: revision 2 reports it.")
    assert delivered.shows("It was read, reported and delivered.").is_visible()


def test_a_study_that_is_discordant_after_an_hl7_message_is_in_the_list_by_itself_and_in_the_figures(
    delivered: WebPage, mammogram_study: DemoStudy, hl7_port: int
):
    image = dcmread(mammogram_study.files[0], stop_before_pixels=True)
    delivered.go("/agreement")
    delivered.shows("On no study")
    with MLLPClient("127.0.0.1", hl7_port) as client:
        named = {"study": image.StudyInstanceUID, "patient": image.PatientID}
        assert b"MSA|AA" in client.send_message(oru("Left breast: BI-RADS 2.", **named))
    delivered.shows("left 2")
    delivered.page.get_by_role("button", name="Calculate").click()
    delivered.shows("1 breast with a category, calculated")
    assert delivered.page.get_by_role("img", name="Implied category against assigned category").is_visible()
    delivered.page.get_by_role("link", name="1", exact=True).first.click()
    delivered.shows("AI alone recalls")


def test_results_are_sent_again_and_a_shadow_reading_is_shown_beside_the_reported_one(delivered: WebPage):
    delivered.go("/studies/1")
    delivered.page.get_by_role("button", name="Send again").click()
    delivered.shows("results will be sent to orthanc")
    delivered.shows("It was read, reported and delivered.")
    delivered.page.get_by_label("only compare").check()
    delivered.page.get_by_role("button", name="Read again").click()
    delivered.shows("It was read again as a shadow")
    assert delivered.page.get_by_role("heading", name="Shadow readings").is_visible()


ADDRESSES = (
    "/",
    "/studies",
    "/studies?state=reported",
    "/studies/1",
    "/agreement",
    "/annotations",
    "/models",
    "/routes",
    "/settings",
    "/check",
    "/studies/99",
)


@pytest.fixture(scope="module")
def shown(delivered: WebPage) -> WebPage:
    """The administrator's window, after the study was delivered; tests go where they want."""
    return delivered


@pytest.mark.parametrize("path", ADDRESSES)
def test_axe_finds_nothing_wrong_in_light_and_dark(shown: WebPage, path):
    shown.go(path)
    for scheme in ("light", "dark"):
        shown.page.emulate_media(color_scheme=scheme)
        assert shown.violations() == []


def test_axe_finds_nothing_wrong_with_signing_in_and_with_the_results_of_check(
    shown: WebPage, browser: Browser, address: str
):
    guest = WebPage(browser, address)
    guest.go("/sign-in")
    assert guest.violations() == []
    guest.close()
    shown.go("/check")
    shown.page.get_by_role("button", name="Check now").click()
    shown.page.get_by_role("heading", name="checks").wait_for()
    assert shown.violations() == []


@pytest.mark.parametrize("path", [*ADDRESSES, "/sign-in"])
def test_at_400_percent_nothing_is_beside_the_window(shown: WebPage, path):
    """1280 pixels at 400 % are 320 (WCAG 2.2, 1.4.10)."""
    shown.page.set_viewport_size({"width": 320, "height": 256})
    shown.go(path)
    assert shown.overflows_by <= 0
    shown.page.set_viewport_size({"width": 1280, "height": 900})


def test_the_way_is_gone_with_the_keyboard_alone(shown: WebPage, browser: Browser, address: str):
    hand = WebPage(browser, address)
    keys = hand.page.keyboard
    hand.go("/")
    hand.waits_for_focus("Name")  # signing in begins there
    keys.type("admin")
    keys.press("Tab")
    keys.type(PASSWORD)
    keys.press("Enter")
    hand.page.get_by_role("heading", name="Today").wait_for()
    keys.press("Tab")
    hand.waits_for_focus("Skip to the content")
    keys.press("Enter")
    hand.page.wait_for_function("() => document.activeElement.id === 'content'")
    hand.go("/")
    hand.tab_to("Studies")
    keys.press("Enter")
    hand.page.get_by_role("heading", name="Studies").wait_for()
    hand.tab_to("1")
    outline = hand.page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid", "the focus is seen"
    keys.press("Enter")
    hand.page.get_by_role("heading", name="Study 1").wait_for()
    hand.tab_to("Retry")
    keys.press("Enter")
    hand.shows("nothing was changed")
    hand.close()


def test_the_pages_ask_no_other_host_and_log_no_error(shown: WebPage):
    assert [fault for fault in shown.faults if "404" not in fault] == []


@pytest.mark.parametrize("kind", ["light", "dark", "phone"])
def test_the_pages_are_photographed(shown: WebPage, browser: Browser, address: str, artefacts: Path, kind):
    width = 390 if kind == "phone" else 1280
    camera = WebPage(browser, address, width=width, dark=kind == "dark")
    camera.sign_in("admin", PASSWORD)
    for name, path in (("today", "/"), ("studies", "/studies"), ("study", "/studies/1"), ("settings", "/settings")):
        camera.go(path)
        picture = artefacts / f"web-{name}-{kind}.png"
        camera.screenshot(picture)
        assert picture.stat().st_size > 10_000
    camera.close()


def test_the_page_is_started_again_when_its_process_is_killed_and_receiving_goes_on(
    shown: WebPage, node: RunningNode, orthanc: Orthanc
):
    port = int(shown.address.rpartition(":")[2])
    first = eventually("the page has a process", lambda: _process_of_the_page(node, port))
    first.kill()
    assert orthanc.post("/modalities/mammo-node/echo", {}) is not None

    def another() -> bool:
        now = _process_of_the_page(node, port)
        return now is not None and now.pid != first.pid

    assert eventually("the page has another process", another)
    assert _answers(shown)
    assert node.stop() == 0, "with a page open"


def _process_of_the_page(node: RunningNode, port: int) -> psutil.Process | None:
    for child in psutil.Process(node.process_id).children():
        with suppress(psutil.Error):
            if any(at.laddr.port == port and at.status == "LISTEN" for at in child.net_connections()):
                return child
    return None
