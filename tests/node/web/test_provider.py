"""Signing in with an account of a real OpenID provider (npm's oidc-provider, made by `make oidc-provider`)."""

from __future__ import annotations

import json
import re
import shutil
from base64 import b64decode
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx2
import pytest
from browsing import Browsing, words
from ports import held_port
from road import Road
from running import eventually, running

from config.oidc import Oidc
from config.settings import Settings
from config.web import Role
from node.operations.accounts import AccountRefused, accounts, add, from_provider, set_password
from node.operations.check import provider_answers
from node.operations.machine import CheckResult
from node.store.database import read_only
from node.web.provider import role_of

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
MADE = ROOT / ".oidc-provider"
URL = "http://127.0.0.1:8080"


@pytest.fixture(scope="module")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    program = shutil.which("node")
    if program is None or not (MADE / "node_modules").is_dir():
        pytest.skip("the OpenID provider is not there: make oidc-provider")
    log = tmp_path_factory.mktemp("provider") / "log"
    with held_port() as port:
        script = ROOT / "tests/support/oidc/provider.mjs"
        with running([program, script, str(MADE), str(port), URL], log):
            eventually("the provider runs", lambda: log.exists() and "ready" in log.read_text())
            yield f"http://127.0.0.1:{port}"


@pytest.fixture
def page(browse: Callable[..., Browsing], road: Road, issuer: str, tmp_path: Path) -> Browsing:
    """A browser at a node whose accounts are the provider's."""
    secret = tmp_path / "secret"
    secret.write_text("a secret of the node\n")
    groups = {"viewers": ["mammo-viewers"], "operators": ["mammo-operators"]}
    browser = browse(
        road,
        web={"url": URL},
        oidc={"issuer": issuer, "client_secret_file": secret, "roles_claim": "groups", **groups},
    )
    browser.client.follow_redirects = False
    return browser


def signed_in_at_the_provider(browser: Browsing, issuer: str, name: str, to: str = "/studies") -> str:
    """The address of the node to which the provider sends somebody back, after its own pages were filled in."""
    location = browser.get(f"/sign-in/provider?{urlencode({'to': to})}").headers["location"]
    with httpx2.Client(base_url=issuer, timeout=60) as there:
        while not location.startswith(URL):
            answer = there.get(location)
            if answer.status_code == 200:
                action = re.search(r'action="([^"]+)"', answer.text)
                prompt = re.search(r'name="prompt" value="([^"]+)"', answer.text)
                assert action, answer.text
                assert prompt, answer.text
                answer = there.post(action[1], data={"prompt": prompt[1], "login": name, "password": "any"})
            location = answer.headers["location"]
    return location


def test_somebody_signs_in_with_the_role_that_the_provider_gives_and_out_again(page: Browsing, issuer: str, road: Road):
    assert page.get("/studies", {"Accept": "text/html"}).headers["location"].startswith("/sign-in")
    assert "Sign in with your account at 127.0.0.1" in page.text("/sign-in")
    asked = parse_qs(urlsplit(page.get("/sign-in/provider").headers["location"]).query)
    assert (asked["code_challenge_method"], len(asked["nonce"]), len(asked["state"])) == (["S256"], 1, 1)
    back = page.get(signed_in_at_the_provider(page, issuer, "olga"))
    assert (back.status_code, back.headers["location"]) == (303, "/studies")
    assert "olga , operator by 127.0.0.1" in page.text("/")
    with read_only(road.sessions) as session:
        (known,) = accounts(session)
    assert (known.name, known.role, known.issuer) == ("olga", Role.OPERATOR, issuer)
    left = page.send("/sign-out", "/studies")
    assert left.headers["location"] == "/sign-in?left=on"
    assert "sign out there too" in page.text("/sign-in?left=on")
    assert page.get("/sign-in/provider/leave").headers["location"].startswith(f"{issuer}/session/end?")
    assert page.get("/studies", {"Accept": "text/html"}).status_code == 303, "to signing in"
    again = page.get(signed_in_at_the_provider(page, issuer, "olga", "https://evil.example"))
    assert again.headers["location"] == "/"
    with read_only(road.sessions) as session:
        assert len(accounts(session)) == 1


def test_whoever_has_no_role_there_is_not_let_in(page: Browsing, issuer: str, road: Road):
    answer = page.get(signed_in_at_the_provider(page, issuer, "nobody"))
    assert (answer.status_code, "gives you no role here" in answer.text) == (403, True)
    assert page.get("/studies", {"Accept": "text/html"}).status_code == 303
    with read_only(road.sessions) as session:
        assert accounts(session) == ()


@pytest.mark.parametrize("how", ["another state", "no state", "in another browser", "a second time", "another code"])
def test_an_answer_that_is_not_to_this_browsers_question_lets_nobody_in(page: Browsing, issuer: str, how: str):
    address = signed_in_at_the_provider(page, issuer, "vera")
    match how:
        case "another state":
            address = re.sub(r"state=[^&]+", "state=made-up", address)
        case "no state":
            address = re.sub(r"state=[^&]+", "", address)
        case "in another browser":
            page.client.cookies.clear()
        case "a second time":
            page.get(address)
            page.client.cookies.delete("session")
        case "another code":
            address = re.sub(r"code=[^&]+", "code=made-up", address)
    answer = page.get(address)
    assert (answer.status_code, "begin again" in words(answer.text)) == (403, True)
    assert page.get("/studies", {"Accept": "text/html"}).status_code == 303, "nobody is signed in"


def test_a_provider_that_does_not_answer_is_named(browse, road: Road):
    with held_port() as port:
        oidc = {"issuer": f"http://127.0.0.1:{port}", "viewers": ["a"]}
        answer = browse(road, web={"url": URL}, oidc=oidc).get("/sign-in/provider")
    assert (answer.status_code, "127.0.0.1 does not answer" in words(answer.text)) == (502, True)


def test_sign_ins_that_were_left_keep_nobody_out(page: Browsing, issuer: str):
    for to in ("/studies", *(f"/studies?q={letter * 1900}" for letter in "aéé"), "/"):
        cookie = page.get(f"/sign-in/provider?{urlencode({'to': to})}").headers["set-cookie"]
        assert len(cookie) < 4096, "browsers drop larger ones"
        assert pending_sign_ins(cookie) == 1
    assert page.get(signed_in_at_the_provider(page, issuer, "vera")).status_code == 303


def pending_sign_ins(cookie: str) -> int:
    return sum(key.startswith("_state_") for key in json.loads(b64decode(cookie.split("=", 1)[1].split(".")[0])))


def test_whoever_loses_their_role_there_loses_their_sessions_here(page: Browsing, issuer: str, road: Road, browse):
    page.get(signed_in_at_the_provider(page, issuer, "olga"))
    assert page.get("/studies").status_code == 200
    oidc = {"issuer": issuer, "client_secret_file": road.data_dir.parent / "secret", "operators": ["no group of hers"]}
    later = browse(road, web={"url": URL}, oidc=oidc)
    later.client.follow_redirects = False
    road.clock.seconds += 1
    assert later.get(signed_in_at_the_provider(later, issuer, "olga")).status_code == 403
    assert page.get("/studies", {"Accept": "text/html"}).status_code == 303, "to signing in"


@pytest.mark.parametrize(
    ("file", "holds"),
    [("ca_file", None), ("ca_file", b"no certificate"), ("client_secret_file", None), ("client_secret_file", b"\n")],
)
def test_a_file_that_cannot_be_used_is_named_to_people_and_by_check(browse, road: Road, tmp_path, file, holds):
    path = tmp_path / "file"
    if holds is not None:
        path.write_bytes(holds)
    oidc = {"issuer": "https://id.example", "viewers": ["a"], file: path}
    page = browse(road, web={"url": URL}, oidc=oidc)
    for address, status in (("", 502), ("/leave", 502), ("/back?code=a&state=b", 403)):
        answer = page.get(f"/sign-in/provider{address}")
        assert (answer.status_code, f"oidc.{file}" in answer.text) == (status, True)
    found = provider_answers(Settings(data_dir=tmp_path, web={"url": URL}, oidc=oidc))
    assert (found.ok, f"oidc.{file}" in found.says) == (False, True)


def test_check_says_whether_the_provider_is_the_one_of_the_settings(tmp_path, issuer: str, closed_port: int):
    def found(issuer: str) -> CheckResult:
        return provider_answers(
            Settings(data_dir=tmp_path, web={"url": URL}, oidc={"issuer": issuer, "viewers": ["a"]})
        )

    assert found(issuer).ok
    for wrong, says in (
        (f"{issuer}/", "calls itself"),
        (f"{issuer}/other", "no description of a provider"),
        (f"http://127.0.0.1:{closed_port}", "does not answer"),
    ):
        answer = found(wrong)
        assert (answer.ok, says in answer.says) == (False, True), answer


def test_an_account_of_the_provider_has_no_password_and_no_name_of_another(road: Road):
    with road.sessions.begin() as session:
        add(session, "ann", Role.VIEWER, "a long enough one", 0.0)
        names = [
            from_provider(session, "https://id.example/a", subject, "ann", Role.VIEWER, "", 0.0).name
            for subject in "123"
        ]
        assert names == ["ann@id.example", "ann-2", "ann-3"]
        assert from_provider(session, "https://id.example/a", "1", "anna", Role.OPERATOR, "", 1.0).role is Role.OPERATOR
        with pytest.raises(AccountRefused, match="signs in at"):
            set_password(session, "ann-2", "a long enough one", 0.0)


@pytest.mark.parametrize(
    ("claims", "role"),
    [
        ({"roles": "reader"}, Role.VIEWER),
        ({"roles": ["reader", "boss"]}, Role.ADMINISTRATOR),
        ({"roles": ["other"]}, None),
        ({"roles": {"reader": 1}}, None),
        ({}, None),
    ],
)
@pytest.mark.parametrize("nested", [False, True])
def test_the_highest_role_counts(claims, role, nested):
    oidc = Oidc(roles_claim="realm.roles" if nested else "roles", viewers=("reader",), administrators=("boss",))
    assert role_of({"realm": claims} if nested else claims, oidc) is role
