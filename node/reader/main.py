"""The main function of the reader process.

A spawned process begins by importing the module of its function: this one imports nothing of the network and of the
results.
"""

from __future__ import annotations

import threading
import time

from config.settings import Settings
from models.bundles.bundle import find_bundle, read_bundle
from node.logs import set_up_logging
from node.reader.process import DeviceFailed
from node.store.database import open_database, sessions_of


def reader_name(settings: Settings) -> str:
    """The worker name of this node's reader, used in its leases."""
    return f"{settings.receiver.ae_title}/reader"


def run_reader(settings: Settings) -> None:
    """The main function of the reader process: loads the bundle once, then reads until the process is ended."""
    import torch

    from models.catalog import load_pipeline
    from models.device import choose_device
    from node.reader.images import ImageReader, ReadingLimits
    from node.reader.threads import use_threads

    set_up_logging(settings.log_level)
    device = choose_device(settings.reader.device)
    use_threads(device, settings.reader.threads, time.perf_counter)
    pipeline = load_pipeline(
        read_bundle(find_bundle(settings.reader.bundle)),
        device,
        mixed_precision=settings.reader.mixed_precision,
        prevalence=settings.reader.prevalence,
        clock=time.perf_counter,
    )
    reader = ImageReader(
        sessions=sessions_of(open_database(settings.database)),
        data_dir=settings.data_dir,
        pipeline=pipeline,
        worker=reader_name(settings),
        limits=ReadingLimits(
            batch=settings.reader.batch,
            attempts=settings.reader.attempts,
            lease_s=settings.reader.lease_s,
            max_image_pixels=settings.receiver.max_image_pixels,
        ),
        now=time.time,
    )
    try:
        reader.run(threading.Event())
    except torch.AcceleratorError as error:
        raise DeviceFailed("the GPU does not answer") from error
