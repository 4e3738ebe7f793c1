"""A segmentation by somebody else has come: what its header says is entered for node/annotations/truth.py."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from dicom_io.corrections import CorrectionHeader
from node.store.tables import Annotation, Instance


def enter_annotation(session: Session, instance: Instance, said: CorrectionHeader, source: str) -> None:
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
    annotation.creator = said.creator
    annotation.created_at = said.created.timestamp() if said.created else None
    annotation.images = list(said.images)
    annotation.automatic_by = list(said.automatic_by)
    annotation.predecessors = list(said.predecessors)
