"""Retrieves a study from a source and sends it to the running node, which treats it like any other study."""

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
    """No study or several studies match, or the study has nothing to read; the message is for a person."""


@dataclass(frozen=True)
class Pulled:
    """The outcome of a pull.

    Attributes:
        wanted: number of instances that the node accepts, without its own results.
        taken: number of these that the node has now.
        left_out: number of the node's own results, and of instances of other SOP classes, by name.
        faults: why wanted instances did not arrive, one sentence each.
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
    """SOP Instance UIDs of the node's results for a study: a source that is also a destination holds them."""
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
    """Retrieves all instances of a study that the node accepts into `folder`, then sends them to the node.

    Args:
        own: SOP Instance UIDs that are left out.

    Raises:
        CannotPull: the study has no instance that the node accepts.
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
