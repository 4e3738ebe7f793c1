"""`mammo-node status`: the queue."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from node.cli.options import DEFAULT_CONFIG, AsJson, ConfigFile

if TYPE_CHECKING:
    from node.queue_view import DeliveryView, ImageView, StudyView

NEWEST = 20


def status(
    config: ConfigFile = DEFAULT_CONFIG,
    everything: Annotated[
        bool, typer.Option("--all", help=f"Every study, not only the newest {NEWEST} and those not settled.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show the queue: studies, why they wait, what was not read or not delivered, and why.

    For the administrator at the machine: it shows Study Instance UIDs, but no names. The number before each study is
    its id, which `retry` takes.
    """
    from config.settings import load
    from node.cli.options import open_queue
    from node.database import looking
    from node.queue_view import view_queue

    settings = load(config)
    with looking(open_queue(settings)) as session:
        queue = view_queue(session, None if everything else NEWEST)
    if as_json:
        typer.echo(json.dumps(asdict(queue), indent=2))
        return
    console = Console(highlight=False, markup=False, soft_wrap=True)
    console.print("Studies: " + ", ".join(f"{count} {state}" for state, count in queue.counts.items()))
    for study in queue.studies:
        console.print()
        for line in _lines(study):
            console.print(line)


def _lines(study: StudyView) -> list[str]:
    source = f"from {study.source}, " if study.source else ""
    lines = [
        f"{study.id}  {study.state}, revision {study.revision}  {study.study_instance_uid}",
        f"   {source}last image {_when(study.last_received_at)}" + (f": {study.why}" if study.why else ""),
        f"   images: {_count(study, 'read')}, {_count(study, 'not read')}, {_count(study, 'waiting')}"
        + (f"; the source holds {study.expected_instances}" if study.expected_instances is not None else ""),
    ]
    lines += [f"   not read: {_named(image)}: {image.reason}" for image in study.images if image.reason]
    lines += [
        f"   failed: {job.kind} (job {job.id}"
        + (f", image {job.image}" if job.image is not None else "")
        + f") after {job.attempts} attempt(s): {job.error}"
        for job in study.jobs
        if job.state == "failed"
    ]
    return lines + [f"   {_delivered(delivery)}" for delivery in study.deliveries]


def _count(study: StudyView, outcome: str) -> str:
    return f"{sum(image.outcome == outcome for image in study.images)} {outcome}"


def _named(image: ImageView) -> str:
    side = {"L": "left", "R": "right"}.get(image.laterality or "", "")
    return " ".join(filter(None, (f"image {image.id},", side, image.view, image.kind)))


def _delivered(delivery: DeliveryView) -> str:
    told = f"{delivery.result} (revision {delivery.revision}) to {delivery.destination}: {delivery.state}"
    if delivery.state in ("sent", "committed") and delivery.sent_at is not None:
        promise = f", {delivery.error or 'not committed yet'}" if delivery.uncommitted else ""
        return f"{told} {_when(delivery.sent_at)}{promise}"
    if delivery.attempts:
        told += f" after {delivery.attempts} attempt(s)"
    if delivery.state == "waiting" and delivery.attempts:
        told += f", next try {_when(delivery.next_at)}"
    return told + (f": {delivery.error}" if delivery.error else "")


def _when(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).astimezone().isoformat(sep=" ", timespec="seconds")
