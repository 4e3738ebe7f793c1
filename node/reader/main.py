"""The main function of the reader process.

A spawned process begins by importing the module of its function: this one imports nothing of the network and of the
results.
"""

from __future__ import annotations

import threading
import time

from config.settings import Settings
from node.bundles import open_bundle
from node.logs import set_up_logging
from node.reader.process import DeviceFailed
from node.store.clock import steady
from node.store.database import Sessions, open_database, sessions_of
from node.store.database_clock import NodeClock, node_clock


def run_reader(settings: Settings, worker: str) -> None:
    """The main function of the reader process: reads until the process is ended.

    Args:
        worker: its name in leases.
    """
    set_up_logging(settings.log_level)
    if settings.reads_here:
        _read_here(settings, worker)
    else:
        _read_on_a_cluster(settings, worker)


def _read_here(settings: Settings, worker: str) -> None:
    import torch

    from node.reader.images import ImageReader, ReadingLimits
    from node.reader.loading import load

    loaded = load(open_bundle(settings), settings.reader, settings.receiver.max_image_pixels)
    sessions = sessions_of(open_database(settings.database))
    reader = ImageReader(
        sessions=sessions,
        data_dir=settings.data_dir,
        executor=loaded.executor,
        worker=worker,
        limits=ReadingLimits(
            batch=loaded.batch,
            attempts=settings.reader.attempts,
            lease_s=settings.reader.lease_s,
            gather_s=loaded.gather_s,
        ),
        now=_clock(sessions),
    )
    try:
        reader.run(threading.Event())
    except torch.AcceleratorError as error:
        raise DeviceFailed("the GPU does not answer") from error


def _read_on_a_cluster(settings: Settings, worker: str) -> None:
    """This process decodes nothing and has no models: it hands the images to actors on the cluster."""
    from node.reader.cluster.pool import ActorPool

    sessions = sessions_of(open_database(settings.database))
    ActorPool(
        settings=settings,
        bundle=open_bundle(settings),
        sessions=sessions,
        worker=worker,
        now=_clock(sessions),
    ).run(threading.Event())


def _clock(sessions: Sessions) -> NodeClock:
    """The node's clock, which a thread keeps right until this process ends."""
    clock = node_clock(sessions, time.time, steady)
    threading.Thread(target=clock.follow, args=(threading.Event(),), name="the database's clock", daemon=True).start()
    return clock
