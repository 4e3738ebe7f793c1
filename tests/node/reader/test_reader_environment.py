"""The reader's threads wait without spinning, unless the user's environment says otherwise."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest
from running import eventually

from node.reader.process import ReaderSupervisor
from node.store.database import open_database, sessions_of


def tell(folder: Path) -> None:
    """In the reader's process, before torch is imported: its wait policy, and the OpenMP libraries that are loaded."""
    maps = Path("/proc/self/maps").read_text()
    told = folder / "told.part"
    told.write_text(f"{os.environ['OMP_WAIT_POLICY']} {'libgomp' in maps}")
    told.rename(folder / "told")
    threading.Event().wait()


@pytest.mark.parametrize(("of_the_user", "used"), [(None, "PASSIVE"), ("ACTIVE", "ACTIVE")])
def test_the_reader_has_a_wait_policy_before_openmp_is_loaded_and_the_users_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, of_the_user: str | None, used: str
) -> None:
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    if of_the_user is not None:
        monkeypatch.setenv("OMP_WAIT_POLICY", of_the_user)
    stop = threading.Event()
    sessions = sessions_of(open_database(f"sqlite:///{tmp_path / 'queue.sqlite'}"))
    supervisor = ReaderSupervisor(tell, (tmp_path,), sessions, "reader", time.time)
    thread = threading.Thread(target=supervisor.run, args=(stop,))
    thread.start()
    try:
        told = eventually("the reader's process told", (tmp_path / "told").is_file) and (tmp_path / "told").read_text()
    finally:
        stop.set()
        thread.join()
    assert told == f"{used} False"
