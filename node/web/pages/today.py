"""Today: what the node did in the last 24 hours, and what needs a person, first."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from config.settings import Settings
from models.bundles.bundle import BundleError
from node.audit.refused_callers import refused_callers
from node.bundles import open_bundle
from node.intake.limited_senders import limited_senders
from node.intake.refused_classes import refused_classes
from node.intake.refused_instances import refused_instances
from node.operations.day import destination_words, sender_words, usual_latency, view_day, view_disk
from node.operations.needs import needs
from node.operations.sending import sending_words
from node.operations.webhooks import webhook_words
from node.retention.plan import retention_words
from node.store.database import read_only
from node.web.answers import page
from node.web.charts import hourly
from node.web.desk import desk_of

router = APIRouter()
MB = 1_000_000

LINKS = {
    "quarantine": "/studies?state=quarantined",
    "failed": "/studies?problems=on",
    "reader": "/studies?state=closed",
    "disk": "/check",
    "drift": "/models",
}


@router.get("/")
def today(request: Request) -> Response:
    desk = desk_of(request)
    settings, now = desk.settings, desk.now()
    names = [destination.name for destination in settings.destinations]
    with read_only(desk.sessions) as session:
        day = view_day(session, names, now)
        destinations = destination_words(session, names, now)
        webhooks = webhook_words(session, [webhook.name for webhook in settings.webhooks], now)
        return page(
            request,
            "today.html",
            day=day,
            chart=hourly(day.hours),
            needs=needs(session, settings, day, (*destinations, *webhooks), now),
            links=LINKS,
            destinations=destinations,
            patience={destination.name: destination.dead_after_s for destination in settings.destinations},
            usual=usual_latency(session, now),
            sending=sending_words(session, settings, now),
            webhooks=webhooks,
            senders=sender_words(session, [sender.ae_title for sender in settings.senders]),
            refused=refused_classes(session),
            callers=refused_callers(session, now),
            limited=limited_senders(session),
            not_taken=refused_instances(session),
            retention=retention_words(session, settings, now),
            disk=view_disk(session, settings.data_dir, settings.receiver.min_free_mb * MB, now),
            reader=settings.reader,
            bundle=_bundle(settings),
        )


def _bundle(settings: Settings) -> str:
    """Name and version of the bundle that reads; as the settings name it where it cannot be read (`check` says why)."""
    try:
        return str(open_bundle(settings).id)
    except BundleError:
        return settings.reader.bundle
