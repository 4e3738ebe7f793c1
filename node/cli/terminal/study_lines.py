"""A study in full, as text: its images, failed jobs and deliveries."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from models.types.words import counted
from node.cli.terminal.moments import local_time
from node.store.states import DeliveryState, ImageOutcome, JobState
from node.store.urgency import Urgency

if TYPE_CHECKING:
    from node.operations.status import DeliveryView, ImageView, JobView, NoticeView, StudyView


def study_lines(study: StudyView) -> list[str]:
    """A study in full; the first line begins with its number."""
    from node.operations.road import answer

    source = f"from {study.source}, " if study.source else ""
    urgency = "" if study.urgency is Urgency.ROUTINE else f", {study.urgency}"
    lines = [
        f"{study.id}  {study.state}, revision {study.revision}{urgency}  {study.study_instance_uid}",
        f"   {source}last image {local_time(study.last_received_at)}" + (f": {study.why}" if study.why else ""),
        f"   {answer(study)}",
        f"   images: {', '.join(_count(study, outcome) for outcome in ImageOutcome)}"
        + (f"; the source holds {study.expected_instances}" if study.expected_instances is not None else ""),
    ]
    lines += [f"   not read: {_named(image)}: {image.reason}" for image in study.images if image.reason]
    lines += [
        f"   failed: {_work(job)} after {counted(job.attempts, 'attempt')}: {job.error}"
        for job in study.jobs
        if job.state is JobState.FAILED
    ]
    lines += [
        f"   postponed {counted(job.faults, 'time')}, next try {local_time(job.next_at)}: {_work(job)}: {job.error}"
        for job in study.jobs
        if job.state is JobState.WAITING and job.faults
    ]
    lines += [f"   {line}" for line in _delivery_lines(study)]
    return lines + [f"   {_notice_line(notice)}" for notice in study.notices]


def _count(study: StudyView, outcome: ImageOutcome) -> str:
    return f"{sum(image.outcome is outcome for image in study.images)} {outcome}"


def _work(job: JobView) -> str:
    return f"{job.kind} (job {job.id}" + (f", image {job.image})" if job.image is not None else ")")


def _named(image: ImageView) -> str:
    side = {"L": "left", "R": "right"}.get(image.laterality or "", "")
    return " ".join(filter(None, (f"image {image.id},", side, image.view, image.kind)))


def _delivery_lines(study: StudyView) -> list[str]:
    """One line for all deliveries to one destination that have the same state and error."""
    alike: dict[tuple[object, ...], list[DeliveryView]] = {}
    for delivery in study.deliveries:
        alike.setdefault((delivery.destination, delivery.state, delivery.error), []).append(delivery)
    return [_delivery_line(deliveries) for deliveries in alike.values()]


def _delivery_line(deliveries: list[DeliveryView]) -> str:
    first = deliveries[0]
    kinds = Counter(delivery.result for delivery in deliveries)
    uncommitted = first.state is DeliveryState.UNCOMMITTED
    state = DeliveryState.SENT if uncommitted else first.state
    line = ", ".join(f"{count} {kind}" for kind, count in kinds.items()) + f" to {first.destination}: {state}"
    if state in (DeliveryState.SENT, DeliveryState.COMMITTED):
        line += f" {local_time(max(delivery.sent_at or 0 for delivery in deliveries))}"
        why = first.error or ("not committed yet" if uncommitted else "")
        return line + (f", {why}" if why else "")
    if attempts := max(delivery.attempts for delivery in deliveries):
        line += f" after {counted(attempts, 'attempt')}"
        if first.state is DeliveryState.WAITING:
            line += f", next try {local_time(min(delivery.next_at for delivery in deliveries))}"
    return line + (f": {first.error}" if first.error else "")


def _notice_line(notice: NoticeView) -> str:
    line = f"{notice.event} to webhook {notice.webhook}: {notice.state}"
    if notice.sent_at is not None:
        return f"{line} {local_time(notice.sent_at)}"
    if notice.attempts:
        line += f" after {counted(notice.attempts, 'attempt')}"
        if notice.state is DeliveryState.WAITING:
            line += f", next try {local_time(notice.next_at)}"
    return line + (f": {notice.error}" if notice.error else "")
