"""`mammo-node reference`: a reference set of the node's own archive."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from assessed_archive import AssessedStudy, L, R, archive
from typer.testing import CliRunner
from typer.testing import Result as Ran

from config.settings import Settings, load
from models.bundles.bundle import find_bundle, read_bundle
from models.errors import UserError
from models.reference.reference_file import read_reference
from models.types.reading import BundleId
from models.types.reference import ReferenceSet
from node.app import build_service
from node.cli.main import build
from node.cli.terminal.options import open_queue
from node.operations.check import ask, checks
from node.operations.machine import faults
from node.operations.reference import count_exams
from node.store.database import read_only
from node.store.states import StudyState

pytestmark = pytest.mark.slow

SHIPPED = read_bundle(find_bundle("research-default"))
COMPLETE = AssessedStudy({L: 0.5, R: 0.25}, bundle=SHIPPED.id, views=("CC", "MLO"), calibrated=False)
OTHERS = [
    replace(COMPLETE, state=StudyState.OPEN),
    replace(COMPLETE, views=("CC",)),
    replace(COMPLETE, scores={L: 0.5}),
    replace(COMPLETE, bundle=BundleId("research-default", "0.2.0")),
    replace(COMPLETE, patient=""),
    replace(COMPLETE, patient="P1", scores={L: 0.999, R: 0.999}),
]
"""Studies that do not count in a set."""


def exams(count: int) -> list[AssessedStudy]:
    """Exams of different patients, whose scores are 1 / count, 2 / count, …, 1."""
    return [replace(COMPLETE, scores={L: number / count, R: 0.0}) for number in range(1, count + 1)]


Command = Callable[..., Ran]


def command_in(folder: Path) -> Command:
    config = folder / "node.toml"
    config.write_text(f'data_dir = "{folder}"\n')

    def run(*arguments: object) -> Ran:
        return CliRunner().invoke(build(), ["reference", *map(str, arguments), "--config", str(config)])

    return run


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Command, Ran]:
    """A site with 120 exams that count and six studies that do not; the command, and its run that wrote `ward.json`."""
    folder = tmp_path_factory.mktemp("site")
    archive(folder, [*exams(120), *OTHERS])
    command = command_in(folder)
    return folder, command, command("--name", "ward", "--out", folder / "ward.json")


def test_the_set_has_the_first_complete_exam_of_each_patient(site: tuple[Path, Command, Ran]) -> None:
    folder, _, ran = site
    assert ran.exit_code == 0, ran.output
    reference = read_reference(folder / "ward.json", SHIPPED)
    assert reference.of == ReferenceSet("ward", 120, is_screening=False)
    assert reference.boundaries == pytest.approx([tenth / 10 for tenth in range(1, 10)])


def test_the_command_says_what_it_counted_and_what_it_left_out_and_why(site: tuple[Path, Command, Ran]) -> None:
    lines = site[2].stdout.splitlines()
    assert lines[:2] == [
        "Research use only, not for diagnosis.",
        f"reference set ward (n = 120, not screening): scores of {SHIPPED.id}, the first complete exam of each patient",
    ]
    assert {line for line in lines if line.startswith("left out")} == {
        "left out: 1: it is not reported (`mammo-node status --all` says why)",
        "left out: 2: not all four standard views of it were read",
        "left out: 1: it was read by another bundle",
        "left out: 1: it states no patient ID, and may be a further exam of a patient",
        "left out: 1: it is a further exam of a patient",
    }
    table = [line.split() for line in lines[lines.index("tenth  exams  scores") + 1 :][:10]]
    assert [(row[0], row[1]) for row in table] == [(str(tenth), "12") for tenth in range(1, 11)]
    assert table[8][2:] == ["above", "0.8000", "to", "0.9000"]


def test_counting_holds_no_transaction_open_so_that_the_write_ahead_log_of_a_running_node_is_emptied(
    site: tuple[Path, Command, Ran],
) -> None:
    settings = load(site[0] / "node.toml")
    sessions = open_queue(settings)
    emptied: list[bool] = []

    def written_meanwhile(*_: object) -> None:
        with sqlite3.connect(settings.database.removeprefix("sqlite:///"), timeout=0) as queue:
            queue.execute("UPDATE study SET decide_at = decide_at + 1 WHERE id = 1")
            queue.commit()
            busy, *_ = queue.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        emptied.append(not busy)

    with read_only(sessions) as session:
        count_exams(session, settings.data_dir, SHIPPED.id, written_meanwhile)
    assert len(emptied) > 100
    assert all(emptied)


def test_the_file_has_no_data_of_a_patient(site: tuple[Path, Command, Ran]) -> None:
    written = json.loads((site[0] / "ward.json").read_text())
    assert set(written) == {"intended_use", "name", "exams", "screening", "bundle", "boundaries"}


def test_the_set_is_screening_only_if_the_user_states_it(site: tuple[Path, Command, Ran]) -> None:
    folder, command, _ = site
    assert command("--name", "rounds", "--screening", "--out", folder / "new" / "rounds.json").exit_code == 0
    assert str(read_reference(folder / "new" / "rounds.json", SHIPPED).of) == (
        "reference set rounds (n = 120, screening)"
    )


def test_a_set_that_reports_may_name_is_never_replaced(site: tuple[Path, Command, Ran]) -> None:
    folder, command, _ = site
    before = (folder / "ward.json").read_bytes()
    ran = command("--name", "other", "--out", folder / "ward.json")
    assert isinstance(ran.exception, UserError)
    assert "the file exists" in str(ran.exception)
    assert (folder / "ward.json").read_bytes() == before


def test_a_name_that_cannot_stand_in_a_report_is_refused(site: tuple[Path, Command, Ran]) -> None:
    folder, command, _ = site
    ran = command("--name", "Größe", "--out", folder / "x.json")
    assert isinstance(ran.exception, UserError)
    assert "give 1 to 12 letters" in str(ran.exception)
    assert not (folder / "x.json").exists()


def test_an_archive_with_too_few_exams_gives_no_set_and_says_why(tmp_path: Path) -> None:
    archive(tmp_path, [*exams(20), *OTHERS])
    ran = command_in(tmp_path)("--name", "ward", "--out", tmp_path / "ward.json")
    assert isinstance(ran.exception, UserError)
    assert "has 20 exams for a reference set, and tenths need at least 100" in str(ran.exception)
    assert "left out: 2: not all four standard views of it were read" in str(ran.exception)
    assert not (tmp_path / "ward.json").exists()


def node_with(folder: Path, set_of: Path, version: str) -> Settings:
    """A node whose reference set has scores of this version of its bundle."""
    written = json.loads(set_of.read_text())
    written["bundle"]["version"] = version
    (folder / "ward.json").write_text(json.dumps(written))
    (folder / "node.toml").write_text('data_dir = "data"\n[reader]\nreference = "ward.json"\n')
    (folder / "data").mkdir()
    return load(folder / "node.toml")


def test_check_accepts_a_set_of_the_nodes_bundle(site: tuple[Path, Command, Ran], tmp_path: Path) -> None:
    settings = node_with(tmp_path, site[0] / "ward.json", SHIPPED.id.version)
    assert settings.reader.reference == tmp_path / "ward.json", "a relative path is taken from the settings' folder"
    (answer,) = (answer for answer in ask(checks(settings)) if answer.about == "reference")
    assert (answer.ok, answer.says) == (True, f"reference set ward (n = 120, not screening): scores of {SHIPPED.id}")
    assert "reference" not in {fault.about for fault in faults(settings)}


@pytest.mark.parametrize("fault", ["another bundle", "missing", "damaged"])
def test_a_set_that_cannot_be_used_keeps_no_node_from_receiving_and_check_and_status_and_the_log_say_why(
    site: tuple[Path, Command, Ran], tmp_path: Path, caplog: pytest.LogCaptureFixture, fault: str
) -> None:
    settings = node_with(tmp_path, site[0] / "ward.json", "0.2.0")
    if fault == "missing":
        (tmp_path / "ward.json").unlink()
    elif fault == "damaged":
        (tmp_path / "ward.json").write_text("{")
    build_service(settings)
    (answer,) = (answer for answer in ask(checks(settings)) if answer.about == "reference")
    assert not answer.ok
    assert answer.says.startswith(f"{tmp_path / 'ward.json'}: ")
    assert answer in faults(settings)
    (logged,) = (entry for entry in caplog.records if "reference set" in entry.getMessage())
    assert (logged.levelname, logged.getMessage()) == (
        "ERROR",
        f"results state no tenth of a reference set: {answer.says}",
    )


def test_without_the_setting_check_mentions_no_reference_set(tmp_path: Path) -> None:
    (tmp_path / "node.toml").write_text('data_dir = "data"\n')
    assert "reference" not in {answer.about for answer in ask(checks(load(tmp_path / "node.toml")))}


def test_a_place_that_cannot_be_written_is_reported_before_the_archive_is_counted(
    site: tuple[Path, Command, Ran],
) -> None:
    ran = site[1]("--name", "ward", "--out", site[0] / "ward.json" / "x.json")
    assert isinstance(ran.exception, UserError)
    assert "nothing can be written there" in str(ran.exception)
    assert "counting" not in ran.stderr
