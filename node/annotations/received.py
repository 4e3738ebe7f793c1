"""A segmentation by somebody else has come: what its header says is entered, for annotations.py to make use of."""

from __future__ import annotations

from pydicom import Dataset
from sqlalchemy import select
from sqlalchemy.orm import Session

from dicom_io.corrections import describe_correction
from dicom_io.headers import InstanceKind
from node.tables import Annotation, Instance


def enter_annotation(session: Session, instance: Instance, dataset: Dataset, source: str) -> None:
    """Enters, or brings up to date, what a segmentation says of who drew what and when; does nothing for other kinds.

    It opens no revision and counts as no image. Our own objects never come this far (node.receiving).

    Args:
        dataset: its header.
        source: the calling AE title.
    """
    if instance.kind != InstanceKind.SEGMENTATION:
        return
    said = describe_correction(dataset)
    annotation = session.scalar(select(Annotation).where(Annotation.instance_id == instance.id))
    if annotation is None:
        annotation = Annotation(instance_id=instance.id, source=source)
        session.add(annotation)
    annotation.creator = said.creator
    annotation.created_at = said.created.timestamp() if said.created else None
    annotation.images = list(said.images)
    annotation.automatic_by = list(said.automatic_by)
    annotation.predecessors = list(said.predecessors)
