"""`mammo-node status`: shows the queue."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from models.types.words import counted
from node.cli.terminal.moments import local_time
from node.cli.terminal.options import DEFAULT_CONFIG, AsJson, ConfigFile, open_queue
from node.store.states import DeliveryState, ImageOutcome, JobState
from node.store.urgency import Urgency

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from node.intake.refused_classes import RefusedClassView
    from node.operations.machine import CheckResult
    from node.operations.status import DeliveryView, ImageView, JobView, QueueView, StudyView

NEWEST = 20


def status(
    config: ConfigFile = DEFAULT_CONFIG,
    everything: Annotated[
        bool, typer.Option("--all", help=f"All studies, not only the newest {NEWEST} and the unfinished ones.")
    ] = False,
    page: Annotated[int, typer.Option("--page", min=1, help="Page of the list; page 1 has the newest studies.")] = 1,
    as_json: AsJson = False,
) -> None:
    """Show the queue: studies, why they wait, what was not read or not delivered, and why.

    For the administrator of this machine: it shows Study Instance UIDs, but no names. The number before each study is
    its id, for `retry`. Faults of the machine are listed first. The command changes nothing and can run while another
    process writes to the queue.
    """
    from config.settings import load
    from node.delivery.orphaned import orphaned
    from node.intake.refused_classes import refused_classes
    from node.operations.machine import faults
    from node.operations.status import view_queue
    from node.store.database import read_only

    settings = load(config)
    found = faults(settings)
    with read_only(open_queue(settings)) as session:
        queue = view_queue(session, None if everything else NEWEST, page)
        refused = refused_classes(session)
        orphaned_counts = orphaned(session, [destination.name for destination in settings.destinations])
    if as_json:
        values = {
            "faults": [asdict(fault) for fault in found],
            "refused_classes": [asdict(refusal) for refusal in refused],
            "stranded": orphaned_counts,
            **asdict(queue),
        }
        typer.echo(json.dumps(values, indent=2))
        return
    console = Console(highlight=False, markup=False, soft_wrap=True)
    for line in _text(queue, page, found, refused, orphaned_counts):
        console.print(line)


def _text(
    queue: QueueView,
    page: int,
    found: Sequence[CheckResult],
    refused: Sequence[RefusedClassView],
    orphaned_counts: Mapping[str, int],
) -> Iterator[str]:
    from node.delivery.orphaned import waiting_for

    for fault in found:
        yield f"FAULT of this machine, {fault.about}: {fault.says}"
    yield "Studies: " + ", ".join(f"{count} {state}" for state, count in queue.counts.items())
    unreported = {urgency: count for urgency, count in queue.unreported.items() if count}
    if unreported.keys() - {Urgency.ROUTINE}:
        yield "Not reported yet: " + ", ".join(f"{count} {urgency}" for urgency, count in unreported.items())
    for name, count in orphaned_counts.items():
        yield (
            f"{waiting_for(name, count)}, which is no longer in the settings: "
            f"`mammo-node deliveries move {name} TO` or `deliveries drop {name}`"
        )
    for study in queue.studies:
        yield ""
        yield from _lines(study)
    if refused:
        yield ""
    for sender in dict.fromkeys(refusal.calling_ae_title for refusal in refused):
        of_sender = (refusal for refusal in refused if refusal.calling_ae_title == sender)
        names = [f"{refusal.sop_class} ({refusal.times} times)" for refusal in of_sender]
        yield f"{sender} proposes SOP classes that this node does not accept: {', '.join(names)}"
    if queue.pages > 1:
        yield f"\npage {page} of {queue.pages}" + (f"; --page {page + 1}: older" if page < queue.pages else "")


def _lines(study: StudyView) -> list[str]:
    source = f"from {study.source}, " if study.source else ""
    urgency = "" if study.urgency is Urgency.ROUTINE else f", {study.urgency}"
    lines = [
        f"{study.id}  {study.state}, revision {study.revision}{urgency}  {study.study_instance_uid}",
        f"   {source}last image {local_time(study.last_received_at)}" + (f": {study.why}" if study.why else ""),
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
    return lines + [f"   {line}" for line in _delivery_lines(study)]


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
