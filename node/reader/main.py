"""The main function of the reader process.

A spawned process begins by importing the module of its function: this one imports nothing of the network and of the
results.
"""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING

from config.settings import Settings
from node.bundles import open_bundle
from node.logs import set_up_logging
from node.reader.process import DeviceFailed
from node.store.database import open_database, sessions_of

if TYPE_CHECKING:
    from node.reader.decoding import DecoderPool


BATCH_ON_A_CPU, BATCH_ON_A_GPU = 1, 16
GATHER_S = 0.02
"""How long a batch that is not full waits for more images on a GPU: a study's images arrive one after the other."""


def run_reader(settings: Settings, worker: str) -> None:
    """The main function of the reader process: loads the bundle once, then reads until the process is ended.

    Args:
        worker: its name in leases.
    """
    import torch

    from models.catalog import load_pipeline
    from models.device import choose_device
    from node.reader.decoding import DecoderHere
    from node.reader.images import ImageReader, ReadingLimits
    from node.reader.local import LocalExecutor
    from node.reader.threads import use_threads

    set_up_logging(settings.log_level)
    device = choose_device(settings.reader.device)
    use_threads(device, settings.reader.threads, time.perf_counter)
    pipeline = load_pipeline(
        open_bundle(settings),
        device,
        mixed_precision=settings.reader.mixed_precision,
        prevalence=settings.reader.prevalence,
        clock=time.perf_counter,
    )
    on_gpu = device.type == "cuda"
    batch = settings.reader.batch or (BATCH_ON_A_GPU if on_gpu else BATCH_ON_A_CPU)
    reader = ImageReader(
        sessions=sessions_of(open_database(settings.database)),
        data_dir=settings.data_dir,
        executor=LocalExecutor(
            pipeline, _pool(settings, batch) if on_gpu else DecoderHere(settings.receiver.max_image_pixels)
        ),
        worker=worker,
        limits=ReadingLimits(
            batch=batch,
            attempts=settings.reader.attempts,
            lease_s=settings.reader.lease_s,
            gather_s=GATHER_S if on_gpu else 0.0,
        ),
        now=time.time,
    )
    try:
        reader.run(threading.Event())
    except torch.AcceleratorError as error:
        raise DeviceFailed("the GPU does not answer") from error


def _pool(settings: Settings, most: int) -> DecoderPool:
    """One process for each core, at most `most`. All attempts at an image end before its lease does."""
    from node.reader.decoding import DecoderPool

    attempts = settings.reader.attempts
    return DecoderPool(
        processes=min(most, len(os.sched_getaffinity(0))),
        max_image_pixels=settings.receiver.max_image_pixels,
        attempts=attempts,
        timeout_s=settings.reader.lease_s / (attempts + 1),
    )
