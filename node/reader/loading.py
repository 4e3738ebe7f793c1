"""Loads the models into this process: the reader's own, or an actor's on another machine."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass

from config.settings import Reader
from models.bundles.bundle import Bundle
from models.catalog import load_pipeline
from models.device import choose_device
from node.reader.decoding import DecoderHere, DecoderPool
from node.reader.executor import BATCH_ON_A_CPU, BATCH_ON_A_GPU
from node.reader.local import LocalExecutor
from node.reader.threads import use_threads

GATHER_S = 0.02
"""How long a batch that is not full waits for more images on a GPU: a study's images arrive one after the other."""


@dataclass(frozen=True)
class Loaded:
    """The models, ready to read.

    Attributes:
        batch: images in one batch.
        gather_s: how long a batch that is not full waits for more images.
        device: "cpu", or the name of the GPU.
    """

    executor: LocalExecutor
    batch: int
    gather_s: float
    device: str


def load(bundle: Bundle, reader: Reader, max_image_pixels: int) -> Loaded:
    """Loads the bundle once, with the reader's settings.

    Raises:
        BundleError: weights are missing or damaged, or do not fit.
        NoSuchDevice: this machine lacks the device of the settings.
    """
    import torch

    device = choose_device(reader.device)
    use_threads(device, reader.threads, time.perf_counter)
    pipeline = load_pipeline(
        bundle,
        device,
        mixed_precision=reader.mixed_precision,
        prevalence=reader.prevalence,
        clock=time.perf_counter,
    )
    if device.type != "cuda":
        return Loaded(
            LocalExecutor(pipeline, DecoderHere(max_image_pixels)), reader.batch or BATCH_ON_A_CPU, 0.0, "cpu"
        )
    batch = reader.batch or BATCH_ON_A_GPU
    executor = LocalExecutor(pipeline, _decoders(reader, batch, max_image_pixels))
    return Loaded(executor, batch, GATHER_S, torch.cuda.get_device_name(device))


def _decoders(reader: Reader, most: int, max_image_pixels: int) -> DecoderPool:
    """One process for each core, at most `most`. All attempts at an image end before its lease does."""
    return DecoderPool(
        processes=min(most, len(os.sched_getaffinity(0))),
        max_image_pixels=max_image_pixels,
        attempts=reader.attempts,
        timeout_s=reader.lease_s / (reader.attempts + 1),
    )
