"""The ports at which a running node listens are those that docs/security.md lists, and no others."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest
from certificates import Authority
from ports import held_port
from running import RunningNode, eventually, reader_of

pytestmark = pytest.mark.slow


def listening(node: RunningNode, pid: int) -> set[tuple[str, int]]:
    """Where any process of the node listens: TCP and UDP."""
    found = set()
    for process in (psutil.Process(pid), *psutil.Process(pid).children(recursive=True)):
        for socket in process.net_connections(kind="inet"):
            if socket.status in (psutil.CONN_LISTEN, psutil.CONN_NONE) and socket.laddr:
                found.add((socket.laddr.ip, socket.laddr.port))
    return found


@pytest.mark.parametrize("everything", [False, True])
def test_nothing_listens_but_what_is_set_and_by_default_only_dicom_at_this_machine(
    tmp_path: Path, blind_bundle: Path, everything: bool
) -> None:
    authority = Authority(tmp_path)
    certificate, key = authority.issue("node", "127.0.0.1")
    with ExitStack() as held:
        page, hl7, tls = (held.enter_context(held_port()) for _ in range(3))
        others = f"[hl7]\nport = {hl7}\n[web]\nport = {page}\n" if everything else ""
        node = RunningNode(tmp_path / "node", f'[reader]\nbundle = "{blind_bundle}"\n{others}[receiver]\n')
        if everything:
            by_tls = f'port = {tls}, certificate = "{certificate}", key = "{key}", ca_file = "{authority.path}"'
            node.config.write_text(
                node.config.read_text().replace("[receiver]", f'[receiver]\ntls = {{ host = "127.0.0.1", {by_tls} }}')
            )
        expected = {("127.0.0.1", port) for port in ([node.port, tls, hl7, page] if everything else [node.port])}
        try:
            node.start()
            pid = node.process_id
            eventually("all that is set listens", lambda: listening(node, pid) >= expected)
            eventually("the reader has started", lambda: reader_of(node))
            assert listening(node, pid) == expected
        finally:
            node.end()
