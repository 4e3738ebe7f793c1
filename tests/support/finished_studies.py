"""A database with many finished studies, and every query that the node repeats while nothing happens."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from uuid import UUID

from pydicom.uid import generate_uid
from sqlalchemy import CTE, ColumnElement, Connection, Engine, String, cast, func, insert, literal, select, true, update
from sqlalchemy.orm import Session

from config.peers import DicomDestination
from config.settings import Settings
from dicom_io.device import Device
from dicom_io.instance_kinds import InstanceKind
from dicom_io.network.peer import Peer
from dicom_io.network.scu import CStoreDestination
from dicom_io.results.outputs import contents_of
from dicom_io.results.profiles import PROFILES, ResultKind
from models.types.reading import BundleId
from node.archive.space import Space
from node.audit.actors import retention as by_node
from node.delivery.backoff import RetryPolicy
from node.delivery.commitment import Commitment
from node.delivery.deliverer import Deliverer
from node.delivery.orphaned import orphaned
from node.delivery.outbox import ResultDestination
from node.delivery.rejection import RejectionWriter
from node.operations.status import count_studies
from node.operations.studies import StudyFilter, find_studies
from node.peers import commitment_request
from node.retention.purge import Purge
from node.store.clock import follow
from node.store.database import Sessions, read_only
from node.store.queue import claim
from node.store.states import DeliveryState, JobKind, JobState, StudyState
from node.store.tables import Delivery, Instance, Job, Result, Study, Table
from node.studies.closing import close_complete
from node.studies.completeness import Ladder
from node.studies.source_counts import ask_sources

DESTINATION = "pacs"
REVISED_EACH = 20
NOW = 1_800_000_000.0
_AGO = NOW - 30 * 86400
_KINDS = (ResultKind.SEG, ResultKind.GSPS, ResultKind.SR)
_VIEWS = (("L", "CC"), ("L", "MLO"), ("R", "CC"), ("R", "MLO"))
_UIDS = {"study_instance_uid", "sop_instance_uid", "series_instance_uid"}


def fill(engine: Engine, studies: int) -> None:
    """Writes finished studies into an empty database: four images that were read, three results that were committed,
    and five jobs each. In each REVISED_EACH-th a result was replaced and rejected."""
    with Session(engine) as session, session.begin():
        _write_one(session)
    with engine.begin() as connection:
        for table in (Study, Instance, Job, Result, Delivery):
            _copy(connection, table, studies)
            if connection.dialect.name == "postgresql":  # its counter does not follow ids that were written
                sequence = func.pg_get_serial_sequence(table.__tablename__, "id")
                connection.execute(select(func.setval(sequence, select(func.max(table.id)).scalar_subquery())))
        revised = Result.study_id % REVISED_EACH == 0
        replaced = select(Result.id).where(revised, Result.kind == ResultKind.SR)
        connection.execute(update(Study).where(Study.id % REVISED_EACH == 0).values(revision=2))
        connection.execute(update(Result).where(revised, Result.kind != ResultKind.SR).values(last_revision=2))
        connection.execute(
            update(Delivery).where(Delivery.result_id.in_(replaced)).values(rejected_by_id=Delivery.result_id - 1)
        )


def repeated(sessions: Sessions, data_dir: Path, now: float = NOW) -> dict[str, Callable[[], object]]:
    """What `serve` asks again and again, by name, and what `status` asks."""

    def in_transaction(do: Callable[[Session], object]) -> None:
        with sessions.begin() as session:
            do(session)

    def status() -> None:
        with read_only(sessions) as session:
            count_studies(session)
            find_studies(session, StudyFilter(unfinished_or_newest=20))

    def without_a_destination() -> None:
        with read_only(sessions) as session:
            orphaned(session, [DESTINATION])

    peer = DicomDestination(name=DESTINATION, ae_title="PACS", host="127.0.0.1", port=1)
    commitment = Commitment(
        DESTINATION, commitment_request(peer, "NODE"), _POLICY, 3600, sessions, lambda: now, generate_uid
    )
    to = CStoreDestination(Peer("PACS", "127.0.0.1", 1, 10, "NODE"), contents_of(PROFILES["ohif"]))
    rejection = RejectionWriter(
        ResultDestination(DESTINATION, PROFILES["ohif"], only_discordant=False, rejection_notes=True),
        True, sessions, data_dir, Device(UUID(int=1), "", ""), BundleId("a", "1"), lambda: now,
    )  # fmt: skip
    return {
        "closing": lambda: close_complete(sessions, Ladder(10, 60, 3600), now),
        "images to read": lambda: in_transaction(
            lambda session: claim(session, JobKind.READ_IMAGE, "reader", now, 600, 4)
        ),
        "reports to write": lambda: in_transaction(
            lambda session: claim(session, JobKind.REPORT, "reporter", now, 600)
        ),
        "deliveries": Deliverer(DESTINATION, to, _POLICY, sessions, data_dir, lambda: now).deliver_due,
        "commitments": commitment.request_due,
        "rejection notes": rejection.run,
        "counts of sources": lambda: ask_sources(sessions, {"PACS": lambda uid: None}, 10, now),
        "the clock was set": lambda: in_transaction(lambda session: follow(session, 3600, now, 1)),
        "retention: nothing is old enough": Purge(
            sessions,
            Settings.model_validate({"data_dir": data_dir, "retention": _AGES}),
            lambda: now,
            lambda: 0,
            by_node(),
        ).by_age,
        "free space": Space([], data_dir, 0, None).refusal,
        "status: unfinished studies": status,
        "status: deliveries without a destination": without_a_destination,
    }


_POLICY = RetryPolicy(30, 3600, 72 * 3600)
_AGES = {f"{part}_days": 36_500 for part in ("images", "not_read", "quarantine", "readings", "results", "refused")}


def _write_one(session: Session) -> None:
    study = Study(
        study_instance_uid="2.25.1", source="PACS", state=StudyState.REPORTED, why="complete: four views",
        first_received_at=_AGO, last_received_at=_AGO, opened_at=_AGO, closed_at=_AGO, decide_at=_AGO,
    )  # fmt: skip
    session.add(study)
    session.flush()
    for number, (side, view) in enumerate(_VIEWS):
        image = Instance(
            study_id=study.id, sop_instance_uid=f"2.25.2.{number}", sop_class_uid="1.2.840.10008.5.1.4.1.1.1.2",
            series_instance_uid="2.25.3", patient_id="P", patient_birth_date="", transfer_syntax_uid="1",
            kind=InstanceKind.FOR_PRESENTATION, laterality=side, view=view, path=f"archive/{number}.dcm",
            received_at=_AGO, reading={"findings": [], "seconds": {"detect": 0.3}}, masks_path=f"readings/{number}",
        )  # fmt: skip
        session.add(image)
        session.flush()
        session.add(Job(kind=JobKind.READ_IMAGE, study_id=study.id, instance_id=image.id, revision=1, **_DONE))
    session.add(Job(kind=JobKind.REPORT, study_id=study.id, revision=1, **_DONE))
    for number, kind in enumerate(_KINDS):
        written = Result(
            study_id=study.id, revision=1, last_revision=1, profile="ohif", kind=kind,
            sop_instance_uid=f"2.25.4.{number}", path=f"results/{number}.dcm", written_at=_AGO,
        )  # fmt: skip
        session.add(written)
        session.flush()
        session.add(
            Delivery(
                result_id=written.id,
                destination=DESTINATION,
                state=DeliveryState.COMMITTED,
                attempts=1,
                created_at=_AGO,
                next_at=_AGO,
                sent_at=_AGO,
                transaction_uid=f"2.25.5.{number}",
            )
        )


_DONE = {"state": JobState.DONE, "attempts": 1, "token": 1}


def _copy(connection: Connection, of: type[Table], studies: int) -> None:
    """Copies the rows of the first study for all others, with ids and UIDs of their own."""
    table, numbers = Table.metadata.tables[of.__tablename__], _numbers(studies - 1)
    number = numbers.c.number
    rows = {
        "id": connection.scalar(select(func.count()).select_from(table)) or 0,
        "study_id": 1,
        "instance_id": len(_VIEWS),
        "result_id": len(_KINDS),
    }
    columns: list[ColumnElement[object]] = []
    for column in table.columns:
        if column.name in rows:
            columns.append((column + number * rows[column.name]).label(column.name))
        elif column.name in _UIDS:
            columns.append((column + "." + cast(number, String)).label(column.name))
        else:
            columns.append(column)
    copies = select(*columns).select_from(table.join(numbers, true())).order_by(number)
    connection.execute(insert(table).from_select([column.name for column in table.columns], copies))


def _numbers(last: int) -> CTE:
    """1 to `last`, in SQL."""
    numbers = select(literal(1).label("number")).cte("numbers", recursive=True)
    return numbers.union_all(select(numbers.c.number + 1).where(numbers.c.number < last))
