"""What happened to every image and every result, by UID: none may be lost, doubled or changed."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from orthanc import Orthanc
from pydicom import Dataset, FileMetaDataset, dcmread
from pydicom.filereader import read_file_meta_info
from running import RunningNode
from sqlalchemy import select

from node.store.states import DeliveryState, JobState, StudyState
from node.store.tables import Delivery, Instance, Job, Result, Study

PREAMBLE = 132
_ORPHAN = re.compile(
    r"Traceback \(most recent call last\):\n(?:  .*\n)*"
    r"  File \".*multiprocessing/spawn\.py\", line \d+, in spawn_main\n(?:  .*\n)*"
    r"EOFError: Ran out of input"
)


@dataclass(frozen=True)
class Row:
    """A line of the account: the expected and actual number, and the UIDs on only one side."""

    about: str
    wanted: int
    found: int
    wrong: tuple[str, ...]


def dataset_digest(file: Path) -> str:
    """SHA-256 of the data set of a Part 10 file, without its meta information: what the sender sent."""
    meta = read_file_meta_info(file)
    return hashlib.sha256(file.read_bytes()[PREAMBLE + 12 + meta.FileMetaInformationGroupLength :]).hexdigest()


def is_settled(node: RunningNode) -> bool:
    """Whether no work is left: every study reported, every delivery committed or sent, no partial file."""
    with node.database() as session:
        studies = set(session.scalars(select(Study.state)))
        jobs = set(session.scalars(select(Job.state)))
        deliveries = set(session.scalars(select(Delivery.state)))
    return (
        studies == {StudyState.REPORTED}
        and not jobs & {JobState.WAITING, JobState.RUNNING}
        and not deliveries & {DeliveryState.WAITING}
    )


def account(node: RunningNode, orthanc: Orthanc, accepted: dict[str, str]) -> list[Row]:
    """The account at the end.

    Args:
        accepted: SOP Instance UID → digest of the data set, of every image that was answered 0x0000.
    """
    with node.database() as session:
        instances = {entry.sop_instance_uid: entry for entry in session.scalars(select(Instance))}
        images = {uid: instance for uid, instance in instances.items() if uid in accepted}
        archived = {uid: dataset_digest(node.data_dir / image.path) for uid, image in images.items()}
        read = [uid for uid, image in images.items() if image.reading is not None and image.unread_reason is None]
        studies = session.scalars(select(Study)).all()
        results = session.scalars(select(Result)).all()
        reports = Counter(
            result.study.study_instance_uid
            for result in results
            if result.kind == "SR" and result.revision == result.study.revision
        )
        delivered = Counter(
            delivery.result.sop_instance_uid
            for delivery in session.scalars(select(Delivery))
            if delivery.state in (DeliveryState.SENT, DeliveryState.COMMITTED)
        )
        written = {result.sop_instance_uid: node.data_dir / result.path for result in results}
        at_pacs = {
            str(held.SOPInstanceUID): held
            for study in studies
            for modality in ("SEG", "SR", "OT", "PR", "KO")
            for held in orthanc.instances(str(orthanc.study_of(study.study_instance_uid)), modality)
        }
    names = [study.study_instance_uid for study in studies]
    return [
        _row("accepted images are in the archive", accepted, images),
        _row("  with the bytes that were sent", accepted, [uid for uid in archived if archived[uid] == accepted[uid]]),
        _row("accepted images were read", accepted, read),
        _row("studies have one report of their last revision", names, reports.elements()),
        _row("written results were delivered once", written, delivered.elements()),
        _row("  and are at the PACS", written, at_pacs),
        _row("  with the bytes that were written", written, [uid for uid in at_pacs if _same(at_pacs, written, uid)]),
    ]


def table(rows: list[Row]) -> str:
    """The account as text, with what is wrong under each line."""
    lines = [f"{'':46}{'wanted':>8}{'found':>8}"]
    for row in rows:
        lines.append(f"{row.about:46}{row.wanted:8}{row.found:8}" + ("" if not row.wrong else "  WRONG"))
        lines += [f"    {wrong}" for wrong in row.wrong[:5]]
    return "\n".join(lines)


def _row(about: str, wanted: Iterable[str], found: Iterable[str]) -> Row:
    must, are = Counter(iter(wanted)), Counter(iter(found))  # a mapping is counted by its keys
    wrong = [f"missing: {uid}" for uid in must - are] + [f"too many: {uid}" for uid in are - must]
    return Row(about, must.total(), are.total(), tuple(wrong))


def _same(held: dict[str, Dataset], written: dict[str, Path], uid: str) -> bool:
    """Whether the PACS holds what was written: equal after one library read and wrote both."""
    return uid in written and _canonical(held[uid]) == _canonical(dcmread(written[uid]))


def _canonical(dataset: Dataset) -> str:
    plain = BytesIO()
    dataset.file_meta = FileMetaDataset()  # each writer's own
    dataset.save_as(plain, implicit_vr=False, little_endian=True)
    return hashlib.sha256(plain.getvalue()).hexdigest()


def tracebacks(log: str) -> tuple[int, int]:
    """How many a log holds of the node, and how many of processes that it was about to start when it was killed.

    Such a process finds nothing in the pipe that would tell it what to do, before any line of the node's own runs in
    it: nobody can keep it from saying so.
    """
    orphans = len(_ORPHAN.findall(log))
    return log.count("Traceback (most recent call last)") - orphans, orphans
