"""What people are told of a study of which retention deleted something."""

from __future__ import annotations

from datetime import UTC, datetime

from node.store.tables import Study


def day_of(at: float) -> str:
    """The local date of a time (UTC seconds since the epoch)."""
    return datetime.fromtimestamp(at, UTC).astimezone().date().isoformat()


def images_deleted(study: Study) -> str:
    """Which of its images retention deleted, and when: a sentence without its full stop; "": none."""
    gone = [instance for instance in study.instances if instance.purged_at is not None]
    if not gone:
        return ""
    on = day_of(max(instance.purged_at or 0 for instance in gone))
    which = "its images" if len(gone) == len(study.instances) else f"{len(gone)} of its {len(study.instances)} images"
    return f"{which} were purged on {on} (retention)"


def readings_deleted(study: Study) -> str:
    """When retention deleted the masks of its readings: a sentence without its full stop; "": they are there."""
    if study.readings_purged_at is None or all(instance.reading is None for instance in study.instances):
        return ""
    return f"its readings were purged on {day_of(study.readings_purged_at)} (retention)"
