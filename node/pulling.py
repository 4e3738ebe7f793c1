"""Fetches a study from a source and gives it to the running node, which treats it as any other that is sent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydicom.uid import UID

from dicom_io.network.holdings import Source
from dicom_io.network.scp_contexts import STORAGE_CLASSES
from dicom_io.network.scu import Sent

Progress = Callable[[int, int, str], None]
"""Hears the instances done, those there are, and what was done with them."""
HandOver = Callable[[Sequence[Path]], Iterable[Sent]]
"""Sends files to the node and tells of each."""


class CannotPull(Exception):
    """There is no one study to fetch, or nothing in it to read; the message is for a person."""


@dataclass(frozen=True)
class Pulled:
    """What became of a study.

    Attributes:
        wanted: how many of its instances are of a kind that the node takes.
        taken: how many of these the node has now.
        left_out: how many are of other kinds, by the kind's name.
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


def pull(source: Source, study_instance_uid: str, folder: Path, hand_over: HandOver, progress: Progress) -> Pulled:
    """Fetches all of a study that the node takes, by way of `folder`, and hands it over when all has come.

    Raises:
        CannotPull: the study holds nothing that the node takes.
        Unreachable, Rejected: of the source, or of the node.
    """
    held = source.instances(study_instance_uid)
    wanted = [instance for instance in held if instance.sop_class_uid in ("", *STORAGE_CLASSES)]
    left_out = Counter(UID(instance.sop_class_uid).name for instance in held if instance not in wanted)
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
