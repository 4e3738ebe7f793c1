"""Which instances of a study disagree about the patient, by their numbers and without what they state."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dicom_io.patient_identity import contradiction
from node.store.tables import Instance

_STATED: tuple[tuple[str, Callable[[Instance], str]], ...] = (
    ("patient ID", lambda instance: instance.patient_id),
    ("birth date", lambda instance: instance.patient_birth_date),
    ("issuer of the patient ID", lambda instance: instance.patient_id_issuer),
)
_NAME: tuple[str, Callable[[Instance], str]] = ("name", lambda instance: instance.patient_name)


def disagreement(instances: Sequence[Instance]) -> str:
    """ "images 1, 2, 3 state one patient ID, image 4 another"; "" if they agree. An absent birth date or issuer
    contradicts none, and two spellings of one name do not (`node.studies.lifecycle.are_two_patients`)."""
    are_two_names = contradiction({instance.patient for instance in instances}) == "PatientName"
    stated = (*_STATED, _NAME) if are_two_names else _STATED
    return "; ".join(filter(None, (_about(what, value, instances) for what, value in stated)))


def with_disagreement(why: str, instances: Sequence[Instance]) -> str:
    """Why a study is in quarantine, with its `disagreement`."""
    return ": ".join(filter(None, (why, disagreement(instances))))


def _about(what: str, value: Callable[[Instance], str], instances: Sequence[Instance]) -> str:
    alike: dict[str, list[int]] = {}
    for instance in instances:
        alike.setdefault(value(instance), []).append(instance.id)
    absent = alike.pop("", None)
    first, *others = sorted(alike.values(), key=len, reverse=True) or [[]]
    parts = [*(f"{_named(numbers)} another" for numbers in others)]
    if absent is not None and what == "patient ID" and first:
        parts.append(f"{_named(absent)} none")
    if not parts:
        return ""
    return ", ".join([f"{_named(first)} {'states' if len(first) == 1 else 'state'} one {what}", *parts])


def _named(numbers: Sequence[int]) -> str:
    return f"image{'' if len(numbers) == 1 else 's'} {', '.join(map(str, numbers))}"
