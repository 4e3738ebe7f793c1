"""Runs on a machine of the cluster: loads the bundle once, then reads the batches that the node sends.

An image's bytes stay in memory there (memfd), where the local reader's own code reads them as a file.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from config.settings import Reader
from models.bundles.bundle import find_bundle, read_bundle
from models.errors import UserError
from node.archive.digests import ArchivedFile
from node.logs import place_of, set_up_logging
from node.reader.cluster.messages import Answer, Broken, Host, NotReady, Ready, told
from node.reader.executor import Hindered
from node.reader.memory import keep_freed_memory
from node.reader.threads import wait_without_spinning
from node.store.faults import describe_fault, is_passing

if TYPE_CHECKING:
    from node.reader.loading import Loaded

log = logging.getLogger(__name__)


class ReaderActor:
    """One process of the cluster that reads. Its methods raise nothing: an exception's message may quote a header."""

    def __init__(self) -> None:
        self._loaded: Loaded | None = None
        self._turn = threading.Lock()

    def where(self) -> Host:
        """Answers as soon as the cluster has given the actor its place."""
        import ray

        context = ray.get_runtime_context()
        return Host(context.get_node_id(), ray.util.get_node_ip_address(), os.getpid())

    def load(self, reader: Reader, max_image_pixels: int, card_sha256: str, log_level: str) -> Ready | NotReady:
        """Loads the bundle, which must be the node's own: `card_sha256` is that of its bundle.toml, which has the
        digests of the weights."""
        set_up_logging(log_level)
        wait_without_spinning()
        keep_freed_memory()
        try:
            from node.reader.loading import load

            bundle = read_bundle(find_bundle(reader.bundle))
            if bundle.card_sha256 != card_sha256:
                return NotReady(f"its bundle {bundle.id} is not the node's: install the same there")
            loaded = self._loaded = load(bundle, reader, max_image_pixels)
        except UserError as error:  # it says what to do, and quotes no header
            return NotReady(str(error))
        except Exception as error:  # noqa: BLE001 - told to the node, which tries again
            return NotReady(f"the models cannot be loaded: {place_of(error)}")
        return Ready(loaded.batch, loaded.gather_s, loaded.executor.ahead, loaded.device)

    def read(self, *images: bytes) -> Answer | Broken:
        """Reads a batch. Called again meanwhile, it has the next one decoded, where decoders run beside."""
        try:
            return self._read(images)
        except Exception as fault:  # noqa: BLE001 - told to the node, which replaces this actor
            if is_passing(fault):
                return tuple((place, Hindered(describe_fault(fault))) for place in range(len(images)))
            log.error("the actor is broken: %s", place_of(fault))
            return Broken(place_of(fault), device=_is_the_devices(fault))

    def _read(self, images: Sequence[bytes]) -> Answer:
        if self._loaded is None:
            raise RuntimeError("read before load")
        with _in_memory(images) as paths:
            outcomes = self._loaded.executor.begin([ArchivedFile(path) for path in paths])
            with self._turn:
                return told(list(outcomes(lambda _: None)))


def _is_the_devices(fault: Exception) -> bool:
    import torch

    return isinstance(fault, torch.AcceleratorError)


@contextmanager
def _in_memory(images: Sequence[bytes]) -> Iterator[list[Path]]:
    """Files without a disk, one for each image; other processes of this user can open them too (the decoders)."""
    with ExitStack() as open_files:
        paths = []
        for image in images:
            file = open_files.enter_context(os.fdopen(os.memfd_create("image"), "wb"))
            file.write(image)
            file.flush()
            paths.append(Path(f"/proc/{os.getpid()}/fd/{file.fileno()}"))
        yield paths
