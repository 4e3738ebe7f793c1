"""Which raw images have an image for presentation that is read instead (safety rule 6). Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from dicom_io.acquisition import Acquisition
from dicom_io.instance_kinds import InstanceKind
from node.store.tables import Instance

Exposed = tuple[str, str, str, tuple[str, ...], bool]
"""Breast, view, the part that is shown ("": the whole view), the modifiers, and whether it is no synthetic image."""


def raw_copies(instances: Iterable[Instance]) -> frozenset[int]:
    """The ids of raw images (For Processing) of whose exposure an image for presentation was or may still be read.

    The image for presentation names its raw image (Source Image Sequence), or both state one acquisition and the same
    breast, view, part and modifiers. Where the headers do not tell one acquisition from another, raw images of one view
    are copies only if there are as many images for presentation of it: otherwise one of them may be seen nowhere else.
    """
    kept = list(instances)
    raws = [one for one in kept if one.kind is InstanceKind.FOR_PROCESSING]
    shown = [
        one for one in kept if one.kind is InstanceKind.FOR_PRESENTATION and one.unread is None and not one.no_view
    ]
    copies = {raw.id for raw in raws if any(_names(image, raw) for image in shown)}
    free = [image for image in shown if not any(_names(image, raw) for raw in raws)]
    open_raws = [raw for raw in raws if raw.id not in copies and exposed(raw) is not None]
    untold: defaultdict[Exposed | None, list[Instance]] = defaultdict(list)
    for raw in open_raws:
        alike = [image for image in free if exposed(image) == exposed(raw)]
        same = [_acquired(image).is_same(_acquired(raw)) for image in alike]
        if True in same:
            copies.add(raw.id)
        elif None in same:
            untold[exposed(raw)].append(raw)
    for what, of_one_view in untold.items():
        copies.update(raw.id for raw in of_one_view if len(of_one_view) <= _unclaimed(what, free, open_raws))
    return frozenset(copies)


def exposed(instance: Instance) -> Exposed | None:
    """What an image shows; None if it is no view of a breast, or its header does not state it."""
    if instance.no_view or instance.laterality is None or instance.view is None:
        return None
    acquired = _acquired(instance)
    return instance.laterality, instance.view, instance.extent, acquired.modifiers, acquired.is_exposure


def _unclaimed(what: Exposed | None, free: Sequence[Instance], raws: Sequence[Instance]) -> int:
    """How many images for presentation of a view are not known to be of one of the raw images, and name no other."""
    return sum(
        exposed(image) == what
        and not _acquired(image).sources
        and not any(exposed(raw) == what and _acquired(image).is_same(_acquired(raw)) for raw in raws)
        for image in free
    )


def _names(image: Instance, raw: Instance) -> bool:
    """Whether an image for presentation says that it was made from a raw image, and does not contradict it."""
    sides, views = {image.laterality, raw.laterality} - {None}, {image.view, raw.view} - {None}
    own, of_raw = _acquired(image), _acquired(raw)
    is_source = raw.sop_instance_uid in own.sources and own.is_exposure == of_raw.is_exposure
    return is_source and len(sides) < 2 and len(views) < 2


def _acquired(instance: Instance) -> Acquisition:
    return Acquisition.from_json(instance.acquisition)
