"""A segmentation by somebody else has come: what its header says is entered for node/annotations/truth.py."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from dicom_io.corrections import CorrectionHeader
from node.store.tables import Annotation, Instance


def enter_annotation(session: Session, instance: Instance, header: CorrectionHeader, source: str) -> None:
    """Enters, or brings up to date, what a segmentation says of who drew what and when.

    It opens no revision and counts as no image. Our own objects never come this far (node.intake.receiving).

    Args:
        said: its header.
        source: the calling AE title.
    """
    annotation = session.scalar(select(Annotation).where(Annotation.instance_id == instance.id))
    if annotation is None:
        annotation = Annotation(instance_id=instance.id, source=source)
        session.add(annotation)
    annotation.creator = header.creator
    annotation.created_at = header.created.timestamp() if header.created else None
    annotation.images = list(header.images)
    annotation.automatic_by = list(header.automatic_by)
    annotation.predecessors = list(header.predecessors)
