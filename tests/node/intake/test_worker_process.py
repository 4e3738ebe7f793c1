"""Reports and segmentations are read in a separate process: what ends that process does not end the node."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from annotating import disc, segmentation
from assessing import overall, report
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from dicom_io.network.answers import Status
from dicom_io.pixels.intact import read_whole_file
from models.types.birads import Category
from node.intake.worker_process import NoAnswer, WorkerProcess

pytestmark = pytest.mark.slow

MB = 1 << 20


@pytest.fixture(scope="module")
def worker() -> WorkerProcess:
    return WorkerProcess(memory_bytes=200 * MB, timeout_s=60)


@pytest.mark.parametrize(
    "fate",
    [(os.abort,), (os._exit, 0), (signal.raise_signal, signal.SIGKILL), (json.loads, "[" * 100_000)],
    ids=["an abort", "an exit", "a kill", "too many levels"],
)
def test_a_worker_process_that_ends_is_reported_and_the_next_call_has_a_new_one(worker: WorkerProcess, fate):
    with pytest.raises(NoAnswer):
        worker.call(*fate)
    assert worker.call(int, "7") == 7


def test_a_call_that_never_returns_is_ended():
    with pytest.raises(NoAnswer, match="too long"):
        WorkerProcess(memory_bytes=200 * MB, timeout_s=1).call(time.sleep, 600)


class SlowToLoad:
    """An argument that takes longer to load than the function may run."""

    def __reduce__(self):
        return time.sleep, (3.5,)


def test_the_start_of_a_process_does_not_count_to_the_time_limit_of_a_call():
    assert WorkerProcess(memory_bytes=200 * MB, timeout_s=3).call(repr, SlowToLoad()) == "None"


def test_a_call_has_a_memory_limit(worker: WorkerProcess):
    with pytest.raises(MemoryError):
        worker.call(bytes, 300 * MB)
    assert len(worker.call(bytes, 50 * MB)) == 50 * MB


def test_an_error_of_the_disk_keeps_its_type(worker: WorkerProcess):
    with pytest.raises(FileNotFoundError):
        worker.call(os.stat, "/no/such/file")


def arrays(rows: int) -> tuple[str, list[NDArray[np.float32]], NDArray[np.bool_]]:
    """Two that are large, of other sizes, and a small one."""
    return "two", [np.arange(rows * 999, dtype=np.float32).reshape(rows, 999)] * 2, np.ones((3, 5), dtype=np.bool_)


def test_large_arrays_come_as_they_were_and_are_the_callers():
    worker = WorkerProcess(memory_bytes=2000 * MB, timeout_s=60)
    found, wanted = [worker.call(arrays, rows) for rows in (1001, 500, 2)], [arrays(rows) for rows in (1001, 500, 2)]
    files = len(list(Path("/proc/self/fd").iterdir()))
    for (name, large, small), (same_name, same_large, same_small) in zip(found, wanted, strict=True):
        assert name == same_name
        assert (small == same_small).all()
        for array, same in zip(large, same_large, strict=True):
            assert array.dtype == same.dtype
            assert (array == same).all()
            assert array.flags.writeable
            assert array.ctypes.data % 16 == 0
    found[0][1][0][:] = 0
    assert (found[1][1][0] == wanted[1][1][0]).all()
    worker.call(arrays, 1001)
    assert len(list(Path("/proc/self/fd").iterdir())) == files


def test_calls_share_a_process(worker: WorkerProcess):
    assert worker.call(os.getpid) == worker.call(os.getpid) != os.getpid()


def test_a_report_that_needs_too_much_memory_is_refused_and_the_next_one_is_kept(listening_node, worker, monkeypatch):
    with monkeypatch.context() as greedy:
        greedy.setattr(listening_node.receiving._contents, "call", lambda *_: worker.call(bytes, 300 * MB))
        refused = listening_node.store(report(overall(Category.TWO)))
    assert (refused.Status, "memory" in refused.ErrorComment) == (Status.NOT_DICOM, True)
    assert listening_node.files("archive") == listening_node.files("incoming") == []
    assert listening_node.instances() == []
    assert listening_node.store(report(overall(Category.TWO))).Status == Status.SUCCESS


def test_neither_reports_nor_segmentations_are_read_where_they_are_received(listening_node, mammogram, monkeypatch):
    def reads(*_: object) -> None:
        raise AssertionError("read in the receiving process")

    for reader in ("read_up_to_pixels", "read_as_stored"):
        monkeypatch.setattr(f"dicom_io.segmentations.{reader}", reads)
    for dataset in (report(overall(Category.TWO)), segmentation({"mass": disc((16, 12), 5, 5, 3)}), mammogram()):
        assert listening_node.store(dataset).Status == Status.SUCCESS
    assert len(listening_node.files("archive")) == 3


@pytest.mark.parametrize("undefined", [True, False], ids=["undefined length", "stated length"])
@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian])
def test_content_sequences_are_skipped_and_later_elements_are_read(mammogram, tmp_path, syntax, undefined):
    image = mammogram(ContentSequence=[Dataset()] * 3, PerFrameFunctionalGroupsSequence=[Dataset()] * 3)
    image.ViewCodeSequence = [Dataset()]
    image.add_new(0x60000010, "US", 4)
    for keyword in ("ContentSequence", "PerFrameFunctionalGroupsSequence"):
        image[keyword].is_undefined_length = undefined
    image.file_meta.TransferSyntaxUID = syntax
    image.save_as(tmp_path / "image.dcm", enforce_file_format=True)
    whole = read_whole_file(tmp_path / "image.dcm", 1 << 20)
    left_out = {element.keyword for element in image} - {element.keyword for element in whole.dataset}
    assert left_out == {"ContentSequence", "PerFrameFunctionalGroupsSequence", "PixelData"}
    assert whole.has_pixels
