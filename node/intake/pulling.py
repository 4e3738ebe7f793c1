"""Fetches a study from a source and gives it to the running node, which treats it as any other that is sent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydicom.uid import UID
from sqlalchemy import select
from sqlalchemy.orm import Session

from dicom_io.network.holdings import Source
from dicom_io.network.scp_contexts import STORAGE_CLASSES
from dicom_io.network.scu import Sent
from models.errors import UserError
from node.store.tables import Result, Study

Progress = Callable[[int, int, str], None]
"""Called with the number of instances done, the number of all, and what was done with them."""
HandOver = Callable[[Sequence[Path]], Iterable[Sent]]
"""Sends files to the node and yields the outcome of each."""


class CannotPull(UserError):
    """There is no one study to fetch, or nothing in it to read; the message is for a person."""


@dataclass(frozen=True)
class Pulled:
    """The outcome of fetching a study.

    Attributes:
        wanted: how many of its instances are of a kind that the node takes, its own results not counted.
        taken: how many of these the node has now.
        left_out: how many are the node's own or of other kinds, by the kind's name.
        faults: why what was wanted did not arrive, each in one sentence.
    """

    wanted: int
    taken: int
    left_out: dict[str, int]
    faults: tuple[str, ...]


def the_study(source: Source, keyword: str, value: str) -> str:
    """The Study Instance UID of the one study whose attribute `keyword` is `value`.

    Raises:
        CannotPull: there is none, or there are several.
        Unreachable, Rejected: of the source.
    """
    found = source.studies(keyword, value)
    if not found:
        raise CannotPull("The source has no such study.")
    if len(found) > 1:
        raise CannotPull("The source has several such studies, choose one with --study: " + ", ".join(found))
    return found[0]


def own_results(session: Session, study_instance_uid: str) -> set[str]:
    """SOP Instance UIDs of what the node has written for a study: a source that is a destination too holds them."""
    written = select(Result.sop_instance_uid).join(Result.study).where(Study.study_instance_uid == study_instance_uid)
    return set(session.scalars(written))


def pull(
    source: Source,
    study_instance_uid: str,
    own: Collection[str],
    folder: Path,
    hand_over: HandOver,
    progress: Progress,
) -> Pulled:
    """Fetches all of a study that the node takes, by way of `folder`, and hands it over when all has come.

    Args:
        own: SOP Instance UIDs that are left out.

    Raises:
        CannotPull: the study holds nothing that the node takes.
        Unreachable, Rejected: of the source, or of the node.
    """
    wanted = []
    left_out: Counter[str] = Counter()
    for instance in source.instances(study_instance_uid):
        if instance.sop_instance_uid in own:
            left_out["of the node's own results"] += 1
        elif instance.sop_class_uid in ("", *STORAGE_CLASSES):
            wanted.append(instance)
        else:
            left_out[UID(instance.sop_class_uid).name] += 1
    if not wanted:
        raise CannotPull(f"The study holds nothing that the node takes: {kinds(left_out) or 'it is empty'}.")
    retrieved = source.retrieve(
        study_instance_uid, wanted, folder, lambda done: progress(done, len(wanted), "fetched from the source")
    )
    taken = retrieved.arrived
    faults = Counter(retrieved.faults)
    for done, sent in enumerate(hand_over(retrieved.files), start=1):
        progress(done, len(retrieved.files), "given to the node")
        if sent.error is not None:
            taken -= 1
            faults[sent.error] += 1
    return Pulled(len(wanted), taken, dict(left_out), tuple(_repeated(fault, n) for fault, n in faults.items()))


def kinds(counts: dict[str, int]) -> str:
    """`2 MR Image Storage, 1 Encapsulated PDF Storage`."""
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))


def _repeated(fault: str, times: int) -> str:
    return fault if times == 1 else f"{fault} ({times} times)"
