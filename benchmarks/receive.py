"""How fast mammograms are received: the node beside DCMTK's storescp and Orthanc, by the same senders.

    python benchmarks/receive.py [--quick] [--json]

The node runs as it does in service (own process; each file fsynced, renamed and committed to the queue before Success);
storescp --fork and Orthanc run as their distributions set them up, and neither waits for the disk. Every run sends
fresh UIDs. Reported are the median of the runs, the ratios, and the receivers' peak memory (resident, summed over
children: pages that storescp's children share count for each). Senders are `storescu` processes. Needs DCMTK; Orthanc
takes part where it is installed.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

STORESCU = ("storescu", "--scan-directories", "-aet", "STORESCU", "-aec", "BENCH")
_STARTS_WITHIN_S = 300.0
"""On a busy machine the imports alone can take a minute."""
NODE = """
import sys, threading, time
from pathlib import Path
from dicom_io.network.scp import AllowedSender, Listener
from node.store.database import open_database, sessions_of
from node.intake.receiving import Receiving, ReceivingLimits
data_dir, port = Path(sys.argv[1]), int(sys.argv[2])
sessions = sessions_of(open_database(f"sqlite:///{data_dir / 'queue.sqlite'}"))
receiving = Receiving(sessions, data_dir, ReceivingLimits(), frozenset(), time.time)
Listener("BENCH", "127.0.0.1", port, [AllowedSender("STORESCU")], receiving.incoming, receiving).start()
threading.Event().wait()
"""


@dataclass(frozen=True)
class Load:
    """Files of `megabytes` each, shared out among `senders`."""

    name: str
    files: int
    rows: int
    columns: int
    senders: int

    @property
    def megabytes(self) -> float:
        return self.files * self.rows * self.columns * 2 / 1e6


@dataclass(frozen=True)
class Measured:
    """Of one receiver under one load: seconds of each run, and the peak memory."""

    receiver: str
    load: str
    seconds: tuple[float, ...]
    megabytes_per_s: float
    objects_per_s: float
    peak_mb: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two runs of a few files each: to see that it works")
    parser.add_argument("--json", action="store_true", help="print the numbers as JSON")
    parser.add_argument("--folder", type=Path, default=None, help="where everything is written (default: temporary)")
    options = parser.parse_args()
    loads, runs = loads_of(quick=options.quick), 2 if options.quick else 5
    results: list[Measured] = []
    for load in loads:
        for measured in compare(load, runs, options.folder):
            results.append(measured)
            if not options.json:
                print(line(measured), flush=True)
    ratios = {load.name: ratios_of(results, load) for load in loads}
    if options.json:
        print(json.dumps({"cores": os.cpu_count(), "results": [asdict(one) for one in results], "ratios": ratios}))
    else:
        print(f"\nThe node against the others ({os.cpu_count()} cores; 2.0 = twice as fast):")
        for name, ratio in ratios.items():
            print(f"  {name:34}" + "".join(f"  {other} {value:.2f}" for other, value in ratio.items()))


def loads_of(*, quick: bool) -> list[Load]:
    files, small = (4, 20) if quick else (24, 400)
    large = [Load(f"{max(files, n)} × 27 MB, senders: {n}", max(files, n), 4096, 3328, n) for n in (1, 4, 16)]
    return [*large, Load(f"{small} × 8 kB, senders: 1, small objects", small, 64, 64, 1)]


def line(one: Measured) -> str:
    seconds = " ".join(f"{value:.2f}" for value in one.seconds)
    return (
        f"{one.load:34} {one.receiver:9} {one.megabytes_per_s:7.0f} MB/s {one.objects_per_s:7.1f} objects/s "
        f"peak {one.peak_mb:5.0f} MB   ({seconds} s)"
    )


def ratios_of(results: list[Measured], load: Load) -> dict[str, float]:
    speed = {one.receiver: one.objects_per_s for one in results if one.load == load.name}
    return {other: speed["node"] / value for other, value in speed.items() if other != "node"}


def compare(load: Load, runs: int, folder: Path | None) -> Iterator[Measured]:
    """The receivers take turns, run by run, so that a busy minute of the machine strikes all of them."""
    receivers = {"node": node, "storescp": storescp} | ({"orthanc": orthanc} if orthanc_path() else {})
    seconds: dict[str, list[float]] = {name: [] for name in receivers}
    peaks: dict[str, float] = dict.fromkeys(receivers, 0.0)
    for _ in range(runs):
        for name, start in receivers.items():
            with tempfile.TemporaryDirectory(dir=folder) as scratch:
                elapsed, peak = run(start, load, Path(scratch))
            seconds[name].append(elapsed)
            peaks[name] = max(peaks[name], peak)
    for name in receivers:
        median = statistics.median(seconds[name])
        yield Measured(name, load.name, tuple(seconds[name]), load.megabytes / median, load.files / median, peaks[name])


def run(start, load: Load, scratch: Path) -> tuple[float, float]:  # type: ignore[no-untyped-def]
    """Seconds from the first sender's start to the last one's end, and the receiver's peak in MB."""
    shares = make_files(load, scratch / "send")
    os.sync()
    (scratch / "receive").mkdir()
    port = free_port()
    with start(scratch / "receive", port) as process:
        wait_for(port, process)
        with memory_of(process.pid) as peak:
            began = time.perf_counter()
            senders = [
                subprocess.Popen(
                    [*STORESCU, "127.0.0.1", str(port), share],
                    stdout=subprocess.DEVNULL,
                )
                for share in shares
            ]
            failed = [sender for sender in senders if sender.wait() != 0]
            elapsed = time.perf_counter() - began
        if failed:
            raise SystemExit(f"{len(failed)} of {len(senders)} senders failed")
    return elapsed, peak[0]


def make_files(load: Load, folder: Path) -> list[Path]:
    """One folder a sender, fresh UIDs in every file; a study to a sender, as a modality sends."""
    pixels = np.random.default_rng(0).integers(0, 4096, (load.rows, load.columns), dtype=np.uint16).tobytes()
    shares = []
    for sender in range(load.senders):
        share = folder / str(sender)
        share.mkdir(parents=True)
        shares.append(share)
        study, series = generate_uid(), generate_uid()
        for number in range(sender, load.files, load.senders):
            mammogram(pixels, load, study, series).save_as(share / f"{number:04}.dcm", enforce_file_format=True)
    return shares


def mammogram(pixels: bytes, load: Load, study: str, series: str) -> Dataset:
    image = Dataset()
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image.SOPClassUID = "1.2.840.10008.5.1.4.1.1.1.2"
    image.SOPInstanceUID = generate_uid()
    image.StudyInstanceUID, image.SeriesInstanceUID = study, series
    image.PatientID, image.PatientName, image.PatientBirthDate, image.PatientSex = "BENCH", "Bench^Mark", "", "F"
    image.Modality, image.PresentationIntentType = "MG", "FOR PRESENTATION"
    image.ImageLaterality, image.ViewPosition = "L", "CC"
    image.Rows, image.Columns, image.SamplesPerPixel = load.rows, load.columns, 1
    image.PhotometricInterpretation = "MONOCHROME2"
    image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 16, 12, 11, 0
    image.PixelData = pixels
    return image


@contextmanager
def node(folder: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-c", NODE, str(folder), str(port)]
    with running(command, env=os.environ | {"PYTHONPATH": str(ROOT)}) as process:
        yield process


@contextmanager
def storescp(folder: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    with running(["storescp", "--fork", "-aet", "BENCH", "-pdu", "131072", "-od", str(folder), str(port)]) as process:
        yield process


@contextmanager
def orthanc(folder: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    settings = folder / "orthanc.json"
    settings.write_text(
        json.dumps(
            {
                "Name": "bench",
                "StorageDirectory": str(folder / "storage"),
                "IndexDirectory": str(folder / "storage"),
                "DicomAet": "BENCH",
                "DicomPort": port,
                "DicomAlwaysAllowEcho": True,
                "DicomAlwaysAllowStore": True,
                "DicomThreadsCount": 16,
                "HttpServerEnabled": False,
                "Plugins": [],
            }
        )
    )
    with running([orthanc_path(), str(settings)]) as process:
        yield process


def orthanc_path() -> str | None:
    return shutil.which("Orthanc") or shutil.which("Orthanc", path="/usr/sbin")


@contextmanager
def running(command: Sequence[str | None], env: dict[str, str] | None = None) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [part for part in command if part], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=env
    )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def memory_of(pid: int) -> Iterator[list[float]]:
    """The peak of the resident memory of a process and its children in MB, sampled every 20 ms."""
    peak = [0.0]
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.02):
            peak[0] = max(peak[0], sum(resident_mb(one) for one in family(pid)))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield peak
    finally:
        over.set()
        watcher.join()


def family(pid: int) -> list[int]:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [pid, *(int(child) for child in children)]


def resident_mb(pid: int) -> float:
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(int(_STARTS_WITHIN_S / 0.05)):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        if process.poll() is not None:
            raise SystemExit(f"a receiver ended by itself with exit status {process.returncode}")
        time.sleep(0.05)
    else:
        raise SystemExit(f"a receiver did not start within {_STARTS_WITHIN_S:.0f} s")
    subprocess.run(["echoscu", "-aet", "STORESCU", "-aec", "BENCH", "127.0.0.1", str(port)], check=True)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    main()
