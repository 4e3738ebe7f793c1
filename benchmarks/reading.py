"""What reading an exam costs: an old commit against this working tree, in one run and by the same models.

    .venv/bin/python benchmarks/reading.py [--old COMMIT] [--rounds N] [--load N] [--newest] [--json]

Both read the two exams of `make demo` (real CBIS-DDSM films, four views each) with `mammo-node read`, in a process of
its own each, taking turns, and with the old commit's bundle. `--newest` adds the working tree with its own bundle: on
the films, and on the same as digital images of 0.1 mm, in which microcalcifications are looked for at that resolution.

CPU-seconds are the process's, with all its threads: they mean the same on a busy machine, except for what threads
spend on waiting actively (which is part of the cost) and what the load takes of the caches. Wall time means something
on a quiet machine only. `--load N` keeps N processes busy beside.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
from pydicom import dcmread
from rich.console import Console
from rich.table import Table

from node.demo.studies import find_cases, make_studies

ROOT = Path(__file__).resolve().parents[1]
BUNDLE = Path("models/bundles/research-default")
DIGITAL_MM = 0.1
STAGES = ("decode", "detect", "segment", "classify")
READ = """
import json, resource, runpy, sys, time
real, began = time.perf_counter, time.time()
# The command's clocks count its CPU-seconds: each image's `seconds` are CPU-seconds then.
time.perf_counter, time.time = time.process_time, lambda: began + time.process_time()
import models.catalog
try:
    import models.threads
except ImportError:
    pass  # an old commit
else:
    choose = models.threads.measure_threads
    models.threads.measure_threads = lambda clock: choose(real)  # by CPU-seconds no number of threads gains
load, measured = models.catalog.load_pipeline, {}
def timed(*arguments, **settings):
    pipeline = load(*arguments, **settings)
    measured.update(loaded_cpu=time.process_time(), loaded_wall=real())
    return pipeline
models.catalog.load_pipeline = timed
out = sys.argv.pop(1)
try:
    runpy.run_module("node", run_name="__main__", alter_sys=True)
finally:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    measured.update(cpu=sum(one.ru_utime + one.ru_stime for one in used), ended_wall=real())
    measured["peak_mb"] = max(one.ru_maxrss for one in used) / 1024
    with open(out, "w") as file:
        json.dump(measured, file)
"""


@dataclass(frozen=True)
class Reader:
    """A source tree that reads a folder of exams with a bundle."""

    name: str
    tree: Path
    bundle: Path
    exams: Path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--old", default="77422d6", help="the commit to compare with")
    parser.add_argument("--rounds", type=int, default=3, help="how often each reads the exams")
    parser.add_argument("--load", type=int, default=0, help="processes kept busy beside")
    parser.add_argument("--newest", action="store_true", help="also read with the working tree's own bundle")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    busy = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder, ExitStack() as running:
        scratch = Path(folder)
        films, digital = scratch / "films", scratch / "digital"
        exams = make_studies(find_cases(), films)
        old = running.enter_context(worktree(arguments.old, scratch / "old"))
        for tree in (old, ROOT):
            compiled(tree)
        readers = [Reader(arguments.old, old, old / BUNDLE, films), Reader("working tree", ROOT, old / BUNDLE, films)]
        if arguments.newest:
            for exam in exams:
                as_digital(exam.files, digital / exam.folder.name)
            readers.append(Reader("its own bundle, films", ROOT, ROOT / BUNDLE, films))
            readers.append(Reader("its own bundle, digital", ROOT, ROOT / BUNDLE, digital))
        running.enter_context(load(arguments.load))
        turns: dict[str, list[dict[str, float]]] = {reader.name: [] for reader in readers}
        for number in range(arguments.rounds):
            for reader in readers:
                turns[reader.name].append(read(reader, len(exams), scratch / f"{number}"))
    medians = {
        name: {figure: statistics.median(turn[figure] for turn in of) for figure in of[0]} for name, of in turns.items()
    }
    if arguments.json:
        print(json.dumps({"load": arguments.load, "load_average": busy, "runs": turns, "median": medians}, indent=2))
    else:
        show(medians, arguments.rounds, arguments.load, busy)


@contextmanager
def worktree(commit: str, at: Path) -> Iterator[Path]:
    """The repository as it was at `commit`."""
    git = ("git", "-C", str(ROOT), "worktree")
    subprocess.run([*git, "add", "--quiet", "--detach", str(at), commit], check=True)
    try:
        yield at
    finally:
        subprocess.run([*git, "remove", "--force", str(at)], check=True)


def compiled(tree: Path) -> None:
    """Writes the bytecode of a source tree, as an installation has it."""
    packages = [str(tree / package) for package in ("config", "dicom_io", "models", "node")]
    subprocess.run([sys.executable, "-m", "compileall", "-q", *packages], check=True)


@contextmanager
def load(processes: int) -> Iterator[None]:
    """So many processes that each keep a core busy."""
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(processes)]
    try:
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()


def as_digital(films: Sequence[Path], folder: Path) -> None:
    """Films of 0.05 mm as digital images of 0.1 mm, uncompressed."""
    folder.mkdir(parents=True)
    for film in films:
        image = dcmread(film)
        pixels = image.pixel_array
        image.Rows, image.Columns = rows, columns = pixels.shape[0] // 2, pixels.shape[1] // 2
        smaller = cv2.resize(pixels, (columns, rows), interpolation=cv2.INTER_AREA)
        image.set_pixel_data(smaller, image.PhotometricInterpretation, image.BitsStored, generate_instance_uid=False)
        image.DetectorType, image.ImagerPixelSpacing = "DIRECT", [DIGITAL_MM, DIGITAL_MM]
        image.save_as(folder / film.name, enforce_file_format=True)


def read(reader: Reader, exams: int, scratch: Path) -> dict[str, float]:
    """CPU-seconds per exam and stage, and other figures of one run of `mammo-node read` on all exams."""
    out = scratch / reader.name
    out.mkdir(parents=True)
    measured = out / "measured.json"
    command = [sys.executable, "-c", READ, str(measured), "read", str(reader.exams), "--out", str(out)]
    began = time.perf_counter()
    with subprocess.Popen(
        [*command, "--bundle", str(reader.bundle), "--device", "cpu"],
        cwd=reader.tree,
        env=os.environ | {"PYTHONPATH": str(reader.tree)},
        stdout=subprocess.DEVNULL,
    ) as process:
        while process.poll() is None and not any(out.glob("*/reading.json")):
            time.sleep(0.02)
        first_s = time.perf_counter() - began
    if process.returncode:
        sys.exit(f"{reader.name}: `mammo-node read` failed with exit status {process.returncode}")
    figures = json.loads(measured.read_text())
    images = [image for file in out.glob("*/reading.json") for image in json.loads(file.read_text())["images"]]
    return per_exam(figures, images, exams) | {"first result, wall": first_s}


def per_exam(figures: dict[str, float], images: Sequence[dict[str, Any]], exams: int) -> dict[str, float]:
    stages = {stage: sum(image["seconds"][stage] for image in images) / exams for stage in STAGES}
    reading = (figures["cpu"] - figures["loaded_cpu"]) / exams
    return {
        "load, once": figures["loaded_cpu"],
        **stages,
        "rest": reading - sum(stages.values()),
        "exam": reading,
        "exam, reader's stages": sum(stages.values()),
        "exam, wall": (figures["ended_wall"] - figures["loaded_wall"]) / exams,
        "exams an hour": 3600 * exams / (figures["ended_wall"] - figures["loaded_wall"]),
        "peak memory, MB": figures["peak_mb"],
        "findings": sum(len(image["findings"]) for image in images),
    }


def show(medians: dict[str, dict[str, float]], rounds: int, load: int, busy: float) -> None:
    title = (
        f"CPU-seconds of a four-view exam, median of {rounds}; {load} busy processes, load average before {busy:.1f}"
    )
    table = Table(title=title)
    old, new, *others = medians
    for heading in ("", old, new, f"{old} / {new}", *others):
        table.add_column(heading, justify="right" if heading else "left")
    for figure in medians[old]:
        before, now = medians[old][figure], medians[new][figure]
        ratio = f"{before / now:.2f}" if now else ""
        rest = [f"{medians[other][figure]:.2f}" for other in others]
        table.add_row(figure, f"{before:.2f}", f"{now:.2f}", ratio, *rest)
    Console().print(table)
    Console().print("Wall times and exams an hour mean something only where nothing else ran.")


if __name__ == "__main__":
    main()
