"""Profiles: what a destination gets: objects, with options for its viewers, or a message."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum


class ResultKind(StrEnum):
    """The kinds of results; their names are used in settings, `status` and file names. All but MESSAGES are DICOM
    objects."""

    SEG = "SEG"
    """Segmentation: the outline of each lesion, one instance per image with findings."""
    SR = "SR"
    """Comprehensive 3D SR by TID 1500: the report."""
    CAD_SR = "CAD-SR"
    """Mammography CAD SR (TID 4000)."""
    GSPS = "GSPS"
    """Grayscale Softcopy Presentation State: outlines and labels, one instance per image with findings."""
    SC = "SC"
    """Secondary Capture: the summary page."""
    KO = "KO"
    """Key Object Selection: the images with findings."""
    REJECTION = "REJECTION"
    """Key Object Selection: a rejection note; in no profile, but a setting of a destination."""
    FHIR = "FHIR"
    """The report for a FHIR server: a Bundle of a DiagnosticReport and its Observations."""
    ORU = "ORU"
    """The report as an HL7 v2 message, for a RIS."""


MESSAGES = (ResultKind.FHIR, ResultKind.ORU)
"""The kinds that are messages: a destination of such a kind gets nothing else (node/reporting/messages.py)."""
IN_PROFILES = tuple(kind for kind in ResultKind if kind not in (ResultKind.REJECTION, *MESSAGES))


@dataclass(frozen=True)
class Profile:
    """A set of objects. Objects of one profile refer to one another and to the sources, never to those of another
    profile.

    Attributes:
        name: unique; part of the UIDs.
        nominal_geometry: whether SEGs get a plane in space, which a projection does not have but viewers (OHIF) need.
        draws_exam: whether the SR draws the scores of breasts and exam on an image, as a frame around it.
    """

    name: str
    kinds: frozenset[ResultKind]
    nominal_geometry: bool
    draws_exam: bool = False


PROFILES: Mapping[str, Profile] = {
    name: Profile(name, frozenset(kinds), nominal_geometry)
    for name, kinds, nominal_geometry in (
        ("ohif", (ResultKind.SEG, ResultKind.SR), True),
        ("workstation-cad-sr", (ResultKind.CAD_SR, ResultKind.KO), False),
        ("overlay-only", (ResultKind.GSPS, ResultKind.SC, ResultKind.KO), False),
        ("all", IN_PROFILES, True),
    )
}

MESSAGE_PROFILES: Mapping[ResultKind, Profile] = {
    kind: Profile(kind.lower(), frozenset({kind}), nominal_geometry=False) for kind in MESSAGES
}
"""The profile of destinations of messages, by the kind of message."""


def profile_of(
    name: str,
    objects: Collection[str] | None = None,
    nominal_geometry: bool | None = None,
    draws_exam: bool = False,
) -> Profile:
    """A named profile, or one derived from it by a list of objects, another geometry, or drawing breasts and exam;
    equal options give equal names.

    Raises:
        KeyError: no profile has this name.
        ValueError: no kind of object has one of these names, or none is listed.
    """
    named = PROFILES[name]
    kinds = named.kinds if objects is None else frozenset(map(ResultKind, objects))
    if not kinds:
        raise ValueError("A profile without any kind of object sends nothing: list at least one.")
    # Only a SEG has a geometry.
    geometry = ResultKind.SEG in kinds and (named.nominal_geometry if nominal_geometry is None else nominal_geometry)
    drawn = ResultKind.SR in kinds and draws_exam  # and only an SR draws them
    for profile in PROFILES.values():
        if (kinds, geometry, drawn) == (profile.kinds, profile.nominal_geometry, profile.draws_exam):
            return profile
    listed = "+".join(kind for kind in IN_PROFILES if kind in kinds)
    asked = [words for words, wanted in (("nominal geometry", geometry), ("exam drawn", drawn)) if wanted]
    return Profile(f"{listed}{' with ' if asked else ''}{' and '.join(asked)}", kinds, geometry, drawn)
