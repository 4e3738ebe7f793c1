"""Reading a study again, with the node's bundle or another, in place of its reading or as its shadow; imports torch
when it is called."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from config.settings import Settings
from node.bundles import open_bundle
from node.logs import set_up_logging
from node.store.database import Sessions, open_queue

if TYPE_CHECKING:
    from node.reader.reread import Rereading

Progress = Callable[[int, int, str], None]


def read_again(
    settings: Settings,
    sessions: Sessions,
    study_id: int,
    bundle: str | None,
    now: Callable[[], float],
    progress: Progress,
    *,
    shadow: bool = False,
) -> tuple[Rereading, int | None]:
    """Reads a reported study again; returns the two readings, and the number of the revision that will report the new
    one (None for a shadow).

    Args:
        bundle: a shipped bundle's name, or the folder of one; None: the node's.
        progress: called with the number of images done, the number of all, and the bundle.
        shadow: only compares; the study does not change, and the comparison is kept.

    Raises:
        BundleError: the bundle cannot be used.
        CannotReread: the study cannot be read again; nothing was changed.
    """
    from node.reader.threads import use_threads, wait_without_spinning

    wait_without_spinning()
    from models.catalog import load_pipeline
    from models.device import choose_device
    from node.reader.reread import reread, store_rereading, store_shadow

    models = open_bundle(settings, bundle)
    device = choose_device(settings.reader.device)
    use_threads(device, settings.reader.threads, time.perf_counter)
    pipeline = load_pipeline(
        models,
        device,
        mixed_precision=settings.reader.mixed_precision,
        prevalence=settings.reader.prevalence,
    )
    rereading = reread(
        sessions,
        settings.data_dir,
        study_id,
        pipeline,
        settings.receiver.max_image_pixels,
        lambda done, total: progress(done, total, str(models.id)),
    )
    if shadow:
        with sessions.begin() as session:
            store_shadow(session, rereading, now())
        return rereading, None
    return rereading, store_rereading(sessions, settings.data_dir, rereading, now())


def bundles_to_read_with(settings: Settings) -> tuple[str, ...]:
    """The node's bundle, and the others of the settings, by name or folder."""
    return tuple(dict.fromkeys((settings.reader.bundle, *settings.reader.other_bundles)))


def reread_study(settings: Settings, study_id: int, bundle: str, shadow: bool, now: Callable[[], float]) -> int | None:
    """Reads a study again, in a process that is spawned for it; returns the revision that will report it, None for a
    shadow.

    Raises:
        QueueUnusable: the queue cannot be used.
        BundleError, CannotReread: as for `read_again`.
    """
    set_up_logging(settings.log_level)
    sessions = open_queue(settings.database)
    _, revision = read_again(settings, sessions, study_id, bundle, now, lambda *_: None, shadow=shadow)
    return revision
