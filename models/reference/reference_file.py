"""The file of a reference set: `mammo-node reference` writes it, and the setting `reader.reference` names it.

JSON: the set's name, the number of its exams, whether they are screening, the bundle whose scores they are, and the
boundaries of the tenths. It has no data of a patient.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from models.bundles.bundle import Bundle
from models.durable import write_durably
from models.errors import UserError
from models.reference.tenths import Reference
from models.types.reading import BundleId
from models.types.reference import ReferenceSet
from models.types.words import RESEARCH_USE_ONLY

_CURE = "Make one with `mammo-node reference`, or do not set reader.reference."


class ReferenceUnusable(UserError):
    """A reference set cannot be used; the message names the file, the cause and the cure."""


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class _Bundle(_Table):
    name: str
    version: str
    content: str


class _File(_Table):
    intended_use: str
    name: str
    exams: int
    screening: bool
    bundle: _Bundle
    boundaries: list[float]


def write_reference(path: Path, reference: Reference) -> None:
    """Writes the file durably; `read_reference` reads it."""
    file = _File(
        intended_use=RESEARCH_USE_ONLY,
        name=reference.of.name,
        exams=reference.of.exams,
        screening=reference.of.is_screening,
        bundle=_Bundle(name=reference.bundle.name, version=reference.bundle.version, content=reference.content),
        boundaries=list(reference.boundaries),
    )
    write_durably(path, f"{file.model_dump_json(indent=2)}\n".encode())


def read_reference(path: Path, bundle: Bundle) -> Reference:
    """The reference set in a file, for the scores of a bundle.

    Raises:
        ReferenceUnusable: the file is missing or damaged, or the scores are those of another bundle.
    """
    try:
        file = _File.model_validate_json(path.read_bytes())
        reference = Reference(
            of=ReferenceSet(file.name, file.exams, file.screening),
            bundle=BundleId(file.bundle.name, file.bundle.version),
            content=file.bundle.content,
            boundaries=tuple(file.boundaries),
        )
    except OSError as error:
        raise ReferenceUnusable(f"{path}: cannot be read: {error.strerror}. {_CURE}") from error
    except ValidationError as error:
        raise ReferenceUnusable(f"{path}: is no reference set: {_faults(error)}. {_CURE}") from error
    except ValueError as error:
        raise ReferenceUnusable(f"{path}: cannot be used: {error}. {_CURE}") from error
    if (reference.bundle, reference.content) != (bundle.id, bundle.content):
        raise ReferenceUnusable(
            f"{path}: {reference.of} has scores of the bundle {reference.bundle} (content {reference.content}), the "
            f"images are read by {bundle.id} (content {bundle.content}): scores of two bundles do not compare. Leave "
            f"it out until {bundle.id} has read enough exams, then make one with `mammo-node reference`."
        )
    return reference


def _faults(error: ValidationError) -> str:
    places = [(".".join(map(str, fault["loc"])), fault["msg"]) for fault in error.errors()]
    return "; ".join(f"{place}: {fault}" if place else fault for place, fault in places)
