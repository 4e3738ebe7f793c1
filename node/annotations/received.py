"""Stores the header of a received segmentation that is not the node's, for node/annotations/truth.py."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from dicom_io.corrections import CorrectionHeader
from node.store.tables import Annotation, Instance


def enter_annotation(session: Session, instance: Instance, header: CorrectionHeader, source: str) -> None:
    """Inserts or updates the annotation of a segmentation: its creator, time, images and predecessors.

    It opens no revision and does not count as an image. The node's own objects are handled before
    (node.intake.receiving).

    Args:
        header: the segmentation's header.
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
