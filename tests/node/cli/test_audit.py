"""`mammo-node audit`, also where somebody wrote into the trail."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from road import Road
from typer.testing import Result as Ran

from node.audit.recorder import Recorder
from node.audit.trail import Trail
from node.cli.terminal.failure import CommandFailed


@pytest.fixture
def road(tmp_path: Path) -> Road:
    return Road(tmp_path / "data")


def test_lines_that_somebody_appended_are_named_and_shown(
    road: Road, tmp_path: Path, command: Callable[..., Ran]
) -> None:
    config = tmp_path / "node.toml"
    config.write_text(f'data_dir = "{road.data_dir}"\n', encoding="utf-8")
    trail = Trail(road.data_dir / "audit")
    recorder = Recorder(road.sessions, trail, "", road.clock)
    recorder.record()
    verified = command("audit", "verify", "--config", config)
    assert (verified.exit_code, "1 line as written" in verified.output) == (0, True)
    recorder.record()
    head = trail.head()
    assert head is not None
    trail.append(["<85>1 no message", "<85>1 <AuditMessage>no XML"], head, road.clock())
    refused = command("audit", "verify", "--config", config)
    assert isinstance(refused.exception, CommandFailed)
    assert "line 3: the database does not know it: somebody else wrote it" in str(refused.exception)
    shown = command("audit", "show", "--config", config)
    assert shown.exit_code == 0, shown.output
    first, _, *others = shown.output.splitlines()
    assert "Audit Recording Started" in first
    assert [line.split("`")[0] for line in others] == ["3  not an audit message: ", "4  not an audit message: "]
