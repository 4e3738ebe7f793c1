"""The end of a certificate is told 30 days before."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from certificates import Authority

from config.settings import Settings
from node.operations.certificates import certificates, own_certificates


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "authority")


def settings(tmp_path: Path, authority: Authority, days: float = 90, **changed: object) -> Settings:
    certificate, key = authority.issue("node", "127.0.0.1", since_days=-9, until_days=days)
    files = {"certificate": certificate, "key": key, "ca_file": authority.path}
    pacs = {"name": "pacs", "ae_title": "PACS", "host": "127.0.0.1", "port": 1, "tls": files}
    web = {"port": 1, "certificate": certificate, "key": key}
    audit = {"syslog_host": "127.0.0.1", "tls": files}
    tls = {"receiver": {"tls": {**files, **changed}}, "destinations": [pacs], "web": web, "audit": audit}
    return Settings(data_dir=tmp_path / "data", **tls)


def now() -> float:
    return datetime.now(UTC).timestamp()


def test_every_certificate_that_the_node_shows_is_listed_with_its_end(tmp_path, authority):
    found = own_certificates(settings(tmp_path, authority))
    assert [one.of for one in found] == ["receiver.tls", "the page", "destination pacs", "audit.tls"]
    expected = (datetime.now(UTC) + timedelta(days=90)).timestamp()
    assert [one.ends for one in found] == pytest.approx([expected] * 4, abs=60)


@pytest.mark.parametrize(
    ("days", "ok", "warns", "says"),
    [
        (90.5, True, False, "it expires in 90 days"),
        (29.5, True, True, "it expires in 29 days. Renew it"),
        (-1, False, False, "it has expired: peers refuse it. Renew it"),
    ],
)
def test_a_certificate_warns_30_days_before_its_end_and_fails_after_it(tmp_path, authority, days, ok, warns, says):
    for found in certificates(settings(tmp_path, authority, days), now()):
        assert (found.ok, found.warns) == (ok, warns)
        assert found.says == f"{tmp_path / 'node.pem'}: {says}"


def test_check_names_files_that_cannot_be_used(tmp_path, authority):
    other = authority.issue("other")[1]
    (tmp_path / "empty.pem").write_text("")
    of = settings(tmp_path, authority, key=other, ca_file=tmp_path / "empty.pem")
    failed = {answer.about: answer.says for answer in certificates(of, now()) if not answer.ok}
    assert failed["receiver.tls"].endswith("empty.pem: no certificate in PEM is in it")
    of.receiver.tls.certificate.unlink()
    failed = {answer.about: answer.says for answer in certificates(of, now()) if not answer.ok}
    assert "No such file" in failed["certificate of receiver.tls"]
