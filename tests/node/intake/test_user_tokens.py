"""A sender that must show a JSON Web Token as its user identity (PS3.7 section D.3.3.7, type 5)."""

from __future__ import annotations

import hmac
import json
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from audit_messages import assert_events_valid, entered
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, RSAKey
from joserfc.util import urlsafe_b64encode
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.pdu_primitives import UserIdentityNegotiation
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]  # made from tables at run time
from requesting import request

from config.settings import Settings
from dicom_io.audit.message import AuditSource
from dicom_io.network.scp import AllowedSender
from dicom_io.network.scp_request import IdentityType, UserIdentity
from dicom_io.network.user_identity import AllowedToken, AllowedUser, NotIdentified
from node.operations.check import checks
from node.peers import callers

pytestmark = pytest.mark.slow

ISSUER, AUDIENCE, SUBJECT = "https://login.hospital.example", "mammo-node", "modality-7"
MAMMOGRAPHY = "1.2.840.10008.5.1.4.1.1.1.2"
REJECTED_BY_THE_PROVIDER = (1, 2, 1)
KEY = RSAKey.generate_key(2048, parameters={"kid": "one"})
OTHER = RSAKey.generate_key(2048, parameters={"kid": "one"})
CURVE = ECKey.generate_key("P-256", parameters={"kid": "two"})


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("issuer") / "issuer.jwks.json"
    file.write_text(json.dumps(KeySet([KEY, CURVE]).as_dict(private=False)))
    return file


def demand(keys: Path) -> AllowedToken:
    return AllowedToken(keys, ISSUER, AUDIENCE, None, ("RS256", "ES256"), time.time)


def claims(**changes: object) -> dict[str, object]:
    """Those of a good token; None leaves one out."""
    now = int(time.time())
    all_of_them = {"iss": ISSUER, "aud": AUDIENCE, "sub": SUBJECT, "iat": now, "nbf": now, "exp": now + 300, **changes}
    return {name: value for name, value in all_of_them.items() if value is not None}


def signed(content: dict[str, object], key=KEY, alg: str = "RS256") -> bytes:
    return jwt.encode({"alg": alg, "kid": key.kid}, content, key, algorithms=[alg]).encode()


def unsigned(content: dict[str, object]) -> bytes:
    parts = json.dumps({"alg": "none"}).encode(), json.dumps(content).encode()
    return b".".join(map(urlsafe_b64encode, parts)) + b"."


def signed_with_the_public_key_as_a_secret(content: dict[str, object]) -> bytes:
    """The attack on programs that take HS256 for a public key in PEM."""
    public = KEY.as_pem(private=False)
    parts = json.dumps({"alg": "HS256", "kid": "one"}).encode(), json.dumps(content).encode()
    text = b".".join(map(urlsafe_b64encode, parts))
    return text + b"." + urlsafe_b64encode(hmac.digest(public, text, "sha256"))


def associate(node, token: bytes | None, *, wants_answer: bool = False) -> Association:
    ae = AE("PACS")
    ae.add_requested_context(Verification)
    ae.add_requested_context(MAMMOGRAPHY, ExplicitVRLittleEndian)
    items = []
    if token is not None:
        stated = UserIdentityNegotiation()
        stated.user_identity_type, stated.primary_field = IdentityType.JSON_WEB_TOKEN, token
        stated.positive_response_requested = wants_answer
        items.append(stated)
    return request(ae, node.listener.port, items=items)


def answered(association: Association) -> list[bytes | None]:
    """The positive responses that the node gave."""
    items = association.acceptor.primitive.user_information
    return [item.server_response for item in items if isinstance(item, UserIdentityNegotiation)]


@pytest.mark.parametrize("wants_answer", [True, False])
@pytest.mark.parametrize(("key", "alg"), [(KEY, "RS256"), (CURVE, "ES256")])
def test_who_has_a_token_may_send_is_answered_where_it_asks_and_is_named_in_the_audit_trail(
    start_node, keys: Path, mammogram, tmp_path: Path, caplog, key, alg: str, wants_answer: bool
):
    node = start_node(senders=(AllowedSender("PACS", user=demand(keys)),))
    token = signed(claims(), key, alg)
    association = associate(node, token, wants_answer=wants_answer)
    assert association.is_established
    assert answered(association) == ([b""] if wants_answer else [])
    assert association.send_c_store(mammogram()).Status == 0
    association.release()
    (event,) = entered(node.sessions)
    assert [(who.user, who.is_requestor) for who in event.participants][-1] == (SUBJECT, True)
    assert_events_valid(node.sessions, tmp_path)
    assert token.decode() not in caplog.text + event.xml(AuditSource("node"))


BAD = {
    "it has expired": (lambda: signed(claims(exp=int(time.time()) - 120)), "it has expired (exp)"),
    "it is not valid yet": (lambda: signed(claims(nbf=int(time.time()) + 600)), "a time (nbf) that has not come yet"),
    "it will be issued": (lambda: signed(claims(iat=int(time.time()) + 600)), "a time of issue (iat)"),
    "it never expires": (lambda: signed(claims(exp=None)), "it lacks a claim of iss, aud, sub and exp"),
    "its expiry is no number": (lambda: signed(claims(exp="never")), "a bad time of expiry (exp)"),
    "it is for somebody else": (lambda: signed(claims(aud="another-node")), "another audience (aud)"),
    "it is for nobody": (lambda: signed(claims(aud=None)), "it lacks a claim of iss, aud, sub and exp"),
    "it is of another issuer": (lambda: signed(claims(iss="https://login.elsewhere.example")), "another issuer (iss)"),
    "it is of an unknown issuer": (lambda: signed(claims(iss=None)), "it lacks a claim of iss, aud, sub and exp"),
    "it names nobody": (lambda: signed(claims(sub=None)), "it lacks a claim of iss, aud, sub and exp"),
    "its name is blank": (lambda: signed(claims(sub="")), "another subject (sub)"),
    "it is not signed": (lambda: unsigned(claims()), "its signature is none of RS256, ES256"),
    "its secret is the public key": (
        lambda: signed_with_the_public_key_as_a_secret(claims()),
        "its signature is none of RS256, ES256",
    ),
    "another algorithm": (lambda: signed(claims(), alg="RS512"), "its signature is none of RS256, ES256"),
    "another key": (lambda: signed(claims(), OTHER), "it is not signed with a key of issuer.jwks.json"),
    "a key that is not known": (
        lambda: signed(claims(), RSAKey.generate_key(2048, parameters={"kid": "three"})),
        "it is not signed with a key of issuer.jwks.json",
    ),
    "its claims were changed": (
        lambda: b".".join((signed(claims()).split(b".")[0], *signed(claims(sub="root")).split(b".")[1:2], b"AAAA")),
        "it is not signed with a key of issuer.jwks.json",
    ),
    "it is garbage": (lambda: b"\xff\x00 no token", "it is no signed JSON Web Token"),
    "it is empty": (lambda: b"", "it is no signed JSON Web Token"),
    "it is too long": (lambda: signed(claims(more="x" * 9000)), "states a token of more than 8192 bytes"),
    "there is none": (lambda: None, "does not state its user by a token"),
}


@pytest.mark.parametrize("what", BAD)
def test_a_token_that_is_not_as_demanded_is_refused_and_nothing_of_it_is_logged(
    start_node, keys: Path, caplog, what: str
):
    token, why = BAD[what][0](), BAD[what][1]
    told: list[str] = []
    node = start_node(
        senders=(AllowedSender("PACS", user=demand(keys)),),
        tell_refused=lambda address, kind, reason: told.append(reason),
    )
    association = associate(node, token, wants_answer=True)
    assert association.is_rejected
    answer = association.acceptor.primitive
    assert (answer.result, answer.result_source, answer.diagnostic) == REJECTED_BY_THE_PROVIDER
    assert why in caplog.text
    assert told
    assert all(why in reason for reason in told)
    for part in (token or b"").split(b"."):
        assert len(part) < 4 or part.decode("latin-1") not in caplog.text + str(told)


def test_a_token_of_another_subject_is_refused_where_one_is_demanded(start_node, keys: Path):
    node = start_node(senders=(AllowedSender("PACS", user=replace(demand(keys), subject=SUBJECT)),))
    assert associate(node, signed(claims(sub="modality-8"))).is_rejected
    association = associate(node, signed(claims()))
    assert association.is_established
    association.release()


def test_clocks_may_differ_by_a_minute(keys: Path):
    at = int(time.time())
    for by, token in ((59, signed(claims(exp=at))), (-59, signed(claims(nbf=at, iat=at)))):
        there = replace(demand(keys), now=partial(float, at + by))
        assert there.user_of(stated(token)) == SUBJECT
        with pytest.raises(NotIdentified):
            replace(there, now=partial(float, at + 2 * by)).user_of(stated(token))


def stated(token: bytes) -> UserIdentity:
    return UserIdentity(IdentityType.JSON_WEB_TOKEN, token, b"", wants_answer=False)


def test_keys_that_are_changed_count_at_once_and_one_in_pem_will_do(start_node, tmp_path: Path):
    file = tmp_path / "issuer.pem"
    file.write_bytes(KEY.as_pem(private=False))
    node = start_node(senders=(AllowedSender("PACS", user=demand(file)),))
    association = associate(node, signed(claims()))
    assert association.is_established
    association.release()
    file.write_bytes(OTHER.as_pem(private=False))
    assert associate(node, signed(claims())).is_rejected


def test_of_a_key_set_kinds_that_are_not_known_and_keys_for_encryption_are_passed_over(tmp_path: Path):
    encrypting = RSAKey.generate_key(2048, parameters={"kid": "three", "use": "enc", "alg": "RSA-OAEP"})
    of_the_issuer = KeySet([KEY, encrypting]).as_dict(private=False)
    file = tmp_path / "keys.json"
    file.write_text(json.dumps({"keys": [{"kty": "AKP", "alg": "ML-DSA-65", "pub": "AAAA"}, *of_the_issuer["keys"]]}))
    assert demand(file).user_of(stated(signed(claims()))) == SUBJECT
    plain = RSAKey.import_key({**encrypting.as_dict(private=True), "use": "sig", "alg": "RS256"})
    with pytest.raises(NotIdentified, match="not signed with a key of"):
        demand(file).user_of(stated(signed(claims(), plain)))


UNUSABLE = {
    "gone": (None, "cannot be read: No such file"),
    "empty": (b"", "has no public keys"),
    "no key": (b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "has no public keys"),
    "no keys": (b'{"keys": []}', "has no public keys"),
    "no list": (b'{"keys": 7}', "has no public keys"),
    "a private key": (KEY.as_pem(private=True), "has a key that is secret"),
    "a shared secret": (
        json.dumps({"keys": [{"kty": "oct", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQ"}]}).encode(),
        "has a key that is secret",
    ),
    "a short key": (
        rsa.generate_private_key(65537, 1024)
        .public_key()
        .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        "has no public keys",
    ),
}


@pytest.mark.parametrize("what", UNUSABLE)
def test_while_the_keys_cannot_be_used_nobody_is_let_in_and_check_says_why(
    start_node, tmp_path: Path, caplog, what: str
):
    content, why = UNUSABLE[what]
    file = tmp_path / "keys"
    if content is not None:
        file.write_bytes(content)
    token = {"keys_file": file, "issuer": ISSUER, "audience": AUDIENCE}
    of = Settings(data_dir=tmp_path, senders=[{"ae_title": "PACS", "token": token}])
    node = start_node(senders=tuple(callers(of, time.time)))
    association = associate(node, signed(claims()))
    assert association.is_rejected
    assert association.acceptor.primitive.result == 2, "transient: it may be tried again"
    assert f"the user of 'PACS' cannot be known: {file} {why}" in caplog.text
    result = next(found for check in checks(of) if (found := check()).about == "user of sender PACS")
    assert not result.ok
    assert why in result.says


@pytest.mark.parametrize("kind", [1, 2])
def test_a_name_is_answered_where_the_sender_asks(start_node, tmp_path: Path, kind: int):
    passcode = tmp_path / "passcode"
    passcode.write_text("open sesame")
    node = start_node(senders=(AllowedSender("PACS", user=AllowedUser(SUBJECT, passcode if kind == 2 else None)),))
    ae = AE("PACS")
    ae.add_requested_context(Verification)
    identity = UserIdentityNegotiation()
    identity.user_identity_type, identity.positive_response_requested = kind, True
    identity.primary_field, identity.secondary_field = SUBJECT.encode(), b"open sesame" if kind == 2 else b""
    association = request(ae, node.listener.port, items=[identity])
    assert association.is_established
    assert answered(association) == [b""]
    association.release()


def test_who_need_not_state_a_user_gets_no_answer(start_node):
    association = associate(start_node(), signed(claims()), wants_answer=True)
    assert association.is_established
    assert answered(association) == []
    association.release()


@given(st.one_of(st.binary(max_size=200), st.recursive(st.none() | st.text() | st.integers(), st.lists).map(
    lambda content: b".".join([urlsafe_b64encode(json.dumps(content).encode())] * 3)
), st.dictionaries(st.sampled_from(["alg", "kid", "typ", "crit", "b64"]), st.text() | st.booleans()).map(
    lambda header: b".".join((urlsafe_b64encode(json.dumps(header).encode()), b"e30", b"AAAA"))
)))  # fmt: skip
@settings(max_examples=200, deadline=None)
def test_no_token_raises_anything_else(keys: Path, token: bytes):
    with pytest.raises(NotIdentified):
        demand(keys).user_of(stated(token))
