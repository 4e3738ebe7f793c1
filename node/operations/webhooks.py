"""Webhooks for people: what each was told and what waits, trying it, and trying again what was given up."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from config.settings import Settings
from config.webhooks import Webhook
from dicom_io.network.web_peer import WebPeer
from node.operations.day import HOUR_S, HOURS, REMEMBERED_S, DestinationWord
from node.store.states import DeliveryState, moved
from node.store.tables import Notice
from node.webhooks.message import Message
from node.webhooks.teller import WebhookPeer


def webhook_peer(of: Webhook) -> WebhookPeer:
    """The address of a webhook of the settings."""
    files = of.bearer_token_file, of.ca_file, of.client_certificate, of.client_key
    return WebhookPeer(WebPeer(of.url, of.timeout_s, *files, service="webhook"), of.secret_file)


def webhook_words(session: Session, names: Sequence[str], now: float) -> tuple[DestinationWord, ...]:
    """The last word of each webhook of the settings: its notices, as `destination_words` has results."""
    return tuple(_word(session, name, now) for name in names)


def _word(session: Session, name: str, now: float) -> DestinationWord:
    first = (now // HOUR_S - HOURS + 1) * HOUR_S
    of_it = Notice.webhook == name
    waits = (of_it, Notice.state == DeliveryState.WAITING)
    waiting, since, next_at = session.execute(
        select(func.count(), func.min(Notice.created_at), func.min(Notice.next_at)).where(*waits)
    ).one()
    error = select(Notice.error).where(*waits, Notice.error != "").order_by(Notice.next_at).limit(1)
    return DestinationWord(
        name=name,
        delivered=session.scalar(select(func.count()).where(of_it, Notice.sent_at >= first)) or 0,
        last_sent_at=session.scalar(
            select(func.max(Notice.sent_at)).where(of_it, Notice.sent_at >= now - REMEMBERED_S)
        ),
        waiting=waiting,
        waits_since=since,
        next_at=next_at,
        error=session.scalar(error) or "",
        given_up=session.scalar(select(func.count()).where(of_it, Notice.state == DeliveryState.DEAD)) or 0,
        what="notice",
    )


def tell_again(session: Session, now: float, *, webhook: str | None = None, study: int | None = None) -> int:
    """Makes the dead notices of a webhook, or of a study, wait again, due at once; returns their number."""
    dead = select(Notice).where(Notice.state == DeliveryState.DEAD)
    if webhook is not None:
        dead = dead.where(Notice.webhook == webhook)
    if study is not None:
        dead = dead.where(Notice.study_id == study)
    notices = session.scalars(dead.order_by(Notice.id)).all()
    for notice in notices:
        notice.state = moved(notice.state, DeliveryState.WAITING)
        notice.attempts = 0
        notice.created_at = notice.next_at = now
        notice.error = ""
    return len(notices)


def try_webhook(settings: Settings, webhook: Webhook, message_id: str, now: float) -> None:
    """Sends a message of the type "test", of no study.

    Raises:
        DestinationError: it was not taken; the message says why.
    """
    peer = webhook_peer(webhook)
    message = Message(message_id, "test", None, None, None, now, settings.web.address)
    try:
        peer.send(message, now)
    finally:
        peer.close()
