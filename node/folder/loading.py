"""Loads a bundle for reading in this process, with threads that wait without spinning."""

from __future__ import annotations

from collections.abc import Callable

from models.bundles.bundle import Bundle
from models.pipeline import Pipeline
from node.reader.memory import keep_freed_memory
from node.reader.threads import use_threads, wait_without_spinning


def load_for_reading(bundle: Bundle, device: str, clock: Callable[[], float]) -> Pipeline:
    """The bundle's models on "auto", "cpu", "cuda" or "cuda:N".

    Args:
        clock: returns seconds from any origin, to measure threads and stages.

    Raises:
        BundleError: weights are missing, damaged or do not fit.
        NoSuchDevice: there is no such device.
    """
    wait_without_spinning()
    keep_freed_memory()
    # torch reads that setting when it is imported.
    from models.catalog import load_pipeline
    from models.device import choose_device

    chosen = choose_device(device)
    use_threads(chosen, None, clock)
    return load_pipeline(bundle, chosen, mixed_precision=True, clock=clock)
