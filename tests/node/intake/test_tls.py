"""Senders come by DICOM TLS, and nobody else does (PS3.15 Annex B.12 and B.13)."""

from __future__ import annotations

import logging
import shutil
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from certificates import Authority
from ports import held_port
from pydicom import Dataset, dcmwrite
from pynetdicom import build_context
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]  # made from tables at run time
from running import eventually, running

from dicom_io.errors import CertificatesUnusable, DestinationError
from dicom_io.network.peer import Peer
from dicom_io.network.scp import AllowedSender, ListenerLimits, TlsAddress
from dicom_io.network.scu import echo, send_files
from dicom_io.network.tls import CIPHER_SUITES, ServerTls, TlsFiles


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "authority")


@pytest.fixture
def own(authority: Authority) -> TlsFiles:
    """The node's."""
    return TlsFiles(*authority.issue("node", "127.0.0.1"), authority.path)


@pytest.fixture
def theirs(authority: Authority) -> TlsFiles:
    """A sender's."""
    return TlsFiles(*authority.issue("pacs", "pacs.example"), authority.path)


@pytest.fixture
def node(start_node, own: TlsFiles):
    return start_node(by_tls=TlsAddress("127.0.0.1", 0, ServerTls(own, asks=True)))


def peer(node, tls: TlsFiles | None, calling: str = "PACS") -> Peer:
    return Peer("NODE", "127.0.0.1", node.listener.tls_port, 5, calling, tls=tls)


@pytest.fixture
def image(mammogram: Callable[..., Dataset], tmp_path: Path) -> Path:
    """One larger than many records of TLS."""
    file = tmp_path / "image.dcm"
    pixels = bytes(range(256)) * 4096
    dcmwrite(file, mammogram(Rows=512, Columns=1024, PixelData=pixels), enforce_file_format=True)
    return file


def stored(node) -> list[Path]:
    return [node.data_dir / instance.path for instance in node.instances()]


def test_an_image_is_stored_by_tls_as_it_was_sent(node, theirs: TlsFiles, image: Path):
    (sent,) = send_files(peer(node, theirs), [image])
    assert sent.error is None
    (kept,) = stored(node)
    assert kept.read_bytes().endswith(image.read_bytes()[-(1 << 20) :])


def test_a_plain_listener_and_one_for_tls_stand_side_by_side(node, theirs: TlsFiles, mammogram):
    assert node.store(mammogram("1.2.3.1")).Status == 0
    echo(peer(node, theirs))
    with pytest.raises(DestinationError):
        echo(replace(peer(node, None)))


@pytest.mark.skipif(shutil.which("storescu") is None, reason="storescu is not installed (Debian package dcmtk)")
@pytest.mark.parametrize("profile", ["--profile-bcp195", "--profile-bcp195-nd", "--profile-bcp195-ex"])
def test_dcmtk_sends_by_tls(node, theirs: TlsFiles, image: Path, profile: str):
    address = ["127.0.0.1", str(node.listener.tls_port)]
    files = ["+tls", str(theirs.key), str(theirs.certificate), "+cf", str(theirs.ca_file)]
    sent = subprocess.run(
        ["storescu", "-aet", "PACS", "-aec", "NODE", *files, profile, *address, image], capture_output=True, check=False
    )
    assert sent.returncode == 0, sent.stderr
    assert len(stored(node)) == 1


def expired(authority: Authority) -> TlsFiles:
    return TlsFiles(*authority.issue("expired", since_days=-9, until_days=-1), authority.path)


def of_another(authority: Authority) -> TlsFiles:
    other = Authority(authority.path.parent, "another")
    return TlsFiles(*other.issue("stranger"), authority.path)


def without(authority: Authority) -> TlsFiles:
    return TlsFiles(None, None, authority.path)


@pytest.mark.parametrize(
    ("shown", "why"),
    [
        (expired, "its certificate: certificate has expired"),
        (of_another, "its certificate: unable to get local issuer certificate"),
        (without, "peer did not return a certificate"),
    ],
)
def test_who_has_no_valid_certificate_of_the_authority_is_refused(
    node, authority: Authority, theirs: TlsFiles, shown, why: str, caplog
):
    with pytest.raises(DestinationError, match="TLS handshake"):
        echo(peer(node, shown(authority)))
    assert f"TLS with 127.0.0.1 failed: {why}" in caplog.text
    echo(peer(node, theirs))


def test_a_certificate_is_not_asked_for_where_the_settings_say_so(start_node, own: TlsFiles, authority: Authority):
    node = start_node(by_tls=TlsAddress("127.0.0.1", 0, ServerTls(own, asks=False)))
    association = peer(node, without(authority)).associate([build_context(Verification)])
    assert association.is_established
    association.release()


def test_a_sender_with_named_certificates_must_have_one_of_them_and_use_tls(
    start_node, own: TlsFiles, authority: Authority, theirs: TlsFiles, mammogram, caplog
):
    named = AllowedSender("PACS", certificates=frozenset({"pacs.example"}))
    node = start_node(senders=(named,), by_tls=TlsAddress("127.0.0.1", 0, ServerTls(own, asks=True)))
    echo(peer(node, theirs))
    with pytest.raises(DestinationError):
        echo(peer(node, TlsFiles(*authority.issue("modality", "modality.example"), authority.path)))
    assert "is not among the senders by TLS, with a certificate of modality, modality.example" in caplog.text
    with pytest.raises(DestinationError):
        echo(Peer("NODE", "127.0.0.1", node.listener.port, 5, "PACS"))


def test_names_that_name_no_machine_do_not_open_the_door_and_do_not_break_the_refusal(
    start_node, own: TlsFiles, authority: Authority, caplog
):
    named = AllowedSender("PACS", certificates=frozenset({"pacs@example.org", "pacs.example"}))
    node = start_node(senders=(named,), by_tls=TlsAddress("127.0.0.1", 0, ServerTls(own, asks=True)))
    odd = authority.issue("odd", "mail:pacs@example.org", "directory:pacs.example")
    with pytest.raises(DestinationError):
        echo(peer(node, TlsFiles(*odd, authority.path)))
    assert "is not among the senders by TLS, with a certificate of odd" in caplog.text


def agreed(port: int, files: TlsFiles, suite: str | None, version: ssl.TLSVersion) -> str:
    """The cipher suite that the node agrees to.

    Raises:
        OSError: none.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(files.ca_file)
    context.load_cert_chain(files.certificate, files.key)
    context.set_ciphers(suite if suite is not None else "DEFAULT:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = version
    with (
        socket.create_connection(("127.0.0.1", port), timeout=5) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as connection,
    ):
        return connection.cipher()[0]


@pytest.mark.parametrize("profile", sorted(CIPHER_SUITES))
def test_every_cipher_suite_of_a_profile_is_taken_and_no_other(
    start_node, authority: Authority, theirs: TlsFiles, profile: str
):
    for kind in ("ECDSA", "RSA"):
        own = authority.issue(f"node-{kind}", "127.0.0.1", rsa_key=kind == "RSA")
        tls = ServerTls(TlsFiles(*own, authority.path, profile), asks=True)
        port = start_node(by_tls=TlsAddress("127.0.0.1", 0, tls)).listener.tls_port
        for suite in (suite for suite in CIPHER_SUITES[profile] if kind in suite):
            assert agreed(port, theirs, suite, ssl.TLSVersion.TLSv1_2) == suite
        assert agreed(port, theirs, None, ssl.TLSVersion.TLSv1_3).startswith("TLS_AES_")
        for weak in (f"ECDHE-{kind}-AES256-SHA384", f"ECDHE-{kind}-AES128-SHA", "AES256-GCM-SHA384"):
            with pytest.raises(OSError):
                agreed(port, theirs, f"{weak}:@SECLEVEL=0", ssl.TLSVersion.TLSv1_2)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of old versions of TLS, which this test is about
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_old_versions_of_tls_are_refused(node, theirs: TlsFiles, version: ssl.TLSVersion):
    with pytest.raises(OSError):
        agreed(node.listener.tls_port, theirs, None, version)


def shown_serial(port: int, files: TlsFiles) -> str:
    context = files.client()
    with (
        socket.create_connection(("127.0.0.1", port), timeout=5) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as connection,
    ):
        return str(connection.getpeercert()["serialNumber"])


def test_a_new_certificate_is_used_without_ending_an_association(
    node, authority: Authority, own: TlsFiles, theirs: TlsFiles, mammogram
):
    before = shown_serial(node.listener.tls_port, theirs)
    image = mammogram()
    association = peer(node, theirs).associate([build_context(image.SOPClassUID, image.file_meta.TransferSyntaxUID)])
    authority.issue("node", "127.0.0.1", until_days=2)  # the same files
    assert shown_serial(node.listener.tls_port, theirs) != before
    assert association.send_c_store(image).Status == 0
    association.release()


def test_a_new_certificate_that_cannot_be_used_leaves_the_one_before(node, own: TlsFiles, theirs: TlsFiles, caplog):
    before = shown_serial(node.listener.tls_port, theirs)
    own.certificate.write_text("no certificate")
    with caplog.at_level(logging.ERROR):
        assert shown_serial(node.listener.tls_port, theirs) == before
    assert "the ones before are kept" in caplog.text


def test_who_says_nothing_delays_nobody_and_is_closed(start_node, own: TlsFiles, theirs: TlsFiles):
    limits = ListenerLimits(association_timeout_s=0.5)
    node = start_node(listening=limits, by_tls=TlsAddress("127.0.0.1", 0, ServerTls(own, asks=True)))
    with socket.create_connection(("127.0.0.1", node.listener.tls_port), timeout=10) as silent:
        echo(peer(node, theirs))
        assert silent.recv(1) == b"", "it is closed"


def test_files_that_cannot_be_used_are_named(own: TlsFiles, theirs: TlsFiles, tmp_path: Path):
    with pytest.raises(CertificatesUnusable, match=r"no\.pem: No such file"):
        ServerTls(replace(own, certificate=tmp_path / "no.pem"), asks=True)
    with pytest.raises(CertificatesUnusable, match="the key does not belong to the certificate"):
        ServerTls(replace(own, key=theirs.key), asks=True)


@pytest.fixture
def dcmtk(authority: Authority, tmp_path: Path) -> Iterator[Callable[..., int]]:
    """DCMTK's storescp by TLS; it takes whoever has a certificate of the authority."""
    if shutil.which("storescp") is None:
        pytest.skip("storescp is not installed (Debian package dcmtk)")
    with ExitStack() as stack:

        def start(certificate: Path, key: Path) -> int:
            port = stack.enter_context(held_port())
            program = ["storescp", "+tls", key, certificate, "+cf", authority.path, "-od", tmp_path, str(port)]
            stack.enter_context(running(program, tmp_path / "storescp.log"))
            eventually("storescp listens", lambda: socket.socket().connect_ex(("127.0.0.1", port)) == 0)
            return port

        yield start


def test_results_go_out_by_tls(dcmtk, authority: Authority, theirs: TlsFiles, own: TlsFiles, image: Path):
    port = dcmtk(*authority.issue("archive", "127.0.0.1"))
    (sent,) = send_files(Peer("ARCHIVE", "127.0.0.1", port, 5, "NODE", tls=own), [image])
    assert sent.error is None


@pytest.mark.parametrize(
    ("archive", "changed", "why"),
    [
        ({"name": "x", "also": "elsewhere.example"}, {}, "certificate that is not accepted: IP address mismatch"),
        ({"name": "x", "also": "127.0.0.1"}, {"server_name": "b.example"}, "not accepted: Hostname mismatch"),
        ({"name": "x", "also": "127.0.0.1", "until_days": -1, "since_days": -9}, {}, "not accepted: certificate has"),
        (
            {"name": "x", "also": "127.0.0.1"},
            {"ca_file": None},
            "not accepted: self-signed certificate in certificate chain",
        ),
        (
            {"name": "x", "also": "127.0.0.1"},
            {"certificate": None, "key": None},
            "ends the TLS handshake: .*certificate",
        ),
    ],
)
def test_a_destination_that_cannot_be_trusted_gets_nothing_and_the_reason_is_said(
    dcmtk, authority: Authority, own: TlsFiles, archive: dict[str, Any], changed: dict[str, Any], why: str
):
    name, also = archive.pop("name"), archive.pop("also")
    port = dcmtk(*authority.issue(name, also, **archive))
    with pytest.raises(DestinationError, match=why):
        echo(Peer("ARCHIVE", "127.0.0.1", port, 5, "NODE", tls=replace(own, **changed)))


def test_a_destination_without_tls_is_told_from_one_with_it(own: TlsFiles, start_node, tmp_path: Path):
    plain = start_node()
    with pytest.raises(DestinationError, match="the TLS handshake"):
        echo(Peer("NODE", "127.0.0.1", plain.listener.port, 2, "PACS", tls=own))
    with pytest.raises(DestinationError, match=r"gone\.pem: No such file"):
        echo(Peer("NODE", "127.0.0.1", plain.listener.port, 2, "PACS", tls=replace(own, ca_file=tmp_path / "gone.pem")))


def test_a_sender_may_be_any_address_of_a_network(start_node):
    near = start_node(senders=(AllowedSender("PACS", "127.0.0.0/8"),))
    echo(Peer("NODE", "127.0.0.1", near.listener.port, 5, "PACS"))
    far = start_node(senders=(AllowedSender("PACS", "192.0.2.0/24"),))
    with pytest.raises(DestinationError):
        echo(Peer("NODE", "127.0.0.1", far.listener.port, 5, "PACS"))
