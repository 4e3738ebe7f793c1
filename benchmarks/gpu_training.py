"""Trains the whole-breast detector at full size on a GPU that is lent for minutes, away from the data sets.

    .venv/bin/python benchmarks/gpu_training.py pack --recipe detector-masses --split SPLIT.json \\
        --data cbis-ddsm-masses:FOLDER --data cdd-cesm:FOLDER --mm 0.2 --out frames.zip
    python benchmarks/gpu_training.py train frames.zip --recipe detector-masses --start detector.safetensors \\
        --mm 0.2 --minutes 11 --out OUT [--steps 3]

`pack` frames all training and validation images as the node does and stores them as JPEG, with their lesions: some tens
of megabytes, which travel with the source. `train` needs the source, torch, ultralytics, OpenCV, pydantic and
safetensors, and neither the data sets nor the network. It measures some steps, chooses as many epochs as the minutes
allow, trains by the recipe, and writes OUT/detector.safetensors and OUT/figures.json (validation patients). `--steps 3`
stops after three steps: to see that it runs. Nothing of the test patients is packed.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file

from models.bundles.writing import stored
from models.checkpoints.reading import read_start
from models.detectors.yolov8 import KINDS, build
from models.framing import Frame, breast_framing
from models.training.detector.framed import Framed, TrainingImage, framed, training_images
from models.training.detector.task import Detecting
from models.training.fit import fit
from models.training.kinds import recipe_of
from models.training.recipe import FitRecipe, Recipe
from models.training.start import take_start
from models.types.region import Box

QUALITY = 70
"""Of the JPEG that frames are packed as. Training pictures pass through JPEG anyway."""
LISTING = "frames.json"
MEASURED_STEPS = 8
"""After the first two, which compile and allocate."""
SPARED = 0.9
"""Share of the minutes that is planned for: the rest is for the validation and for writing."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    packing, training = commands.add_parser("pack"), commands.add_parser("train")
    for command in (packing, training):
        command.add_argument("--recipe", default="detector-masses")
        command.add_argument("--mm", type=float, help="millimetres per pixel of the frames, in place of the recipe's")
        command.add_argument("--out", type=Path, required=True)
    packing.add_argument("--data", action="append", required=True, help="NAME:FOLDER")
    packing.add_argument("--split", type=Path, required=True)
    packing.set_defaults(run=pack)
    training.add_argument("frames", type=Path)
    training.add_argument("--start", type=Path, help="weights to start from")
    training.add_argument("--scale", help="YOLOv8's size, in place of the recipe's")
    training.add_argument("--window", type=int, nargs=2, help="rows and columns of training pictures")
    training.add_argument("--batch", type=int, help="in place of the recipe's")
    training.add_argument("--minutes", type=float, default=11.0)
    training.add_argument("--steps", type=int, help="stop after so many")
    training.set_defaults(run=train)
    arguments = parser.parse_args()
    arguments.run(arguments)


def pack(arguments: argparse.Namespace) -> None:
    from dicom_io.case_reader import CaseReader
    from models.anatomy.film import with_spacing
    from models.datasets.catalog import open_data
    from models.datasets.split import read_split, sides

    recipe = _recipe(arguments)
    cases = open_data(arguments.data, CaseReader()).cases
    train_cases, validation, _ = sides(cases, read_split(arguments.split, cases))
    shown = breast_framing(recipe.model.input_px, recipe.model.mm_per_px)

    def framing(image: Any) -> Frame:
        return shown(with_spacing(image, recipe.task.assumed_spacing_mm))

    workers = torch.get_num_threads()
    training = training_images([case for case in train_cases if case.marked_up], framing, KINDS, workers)
    judged = framed([case for case in validation if case.marked_up], framing, workers)
    with zipfile.ZipFile(arguments.out, "w") as file:
        listing: dict[str, Any] = {"mm_per_px": recipe.model.mm_per_px, "training": [], "validation": []}
        for number, image in enumerate(training):
            file.writestr(f"training/{number}.jpg", _jpeg(image.levels))
            outlines = [points.tolist() for points in image.outlines]
            listing["training"].append({"dataset": image.dataset, "kinds": image.kinds, "outlines": outlines})
        for number, shown_image in enumerate(judged):
            file.writestr(f"validation/{number}.jpg", _jpeg(np.round(shown_image.shown.pixels * 255).astype(np.uint8)))
            part = shown_image.shown.part
            listing["validation"].append(
                {
                    "patient": shown_image.patient,
                    "part": [part.top, part.left, part.bottom, part.right],
                    "place": [shown_image.shown.scale, shown_image.shown.top, shown_image.shown.left],
                    "lesions": [[box.top, box.left, box.bottom, box.right] for box in shown_image.lesions],
                }
            )
        file.writestr(LISTING, json.dumps(listing))
    size = arguments.out.stat().st_size / 2**20
    print(f"{len(training)} training and {len(judged)} validation images: {size:.1f} MiB in {arguments.out}")


def train(arguments: argparse.Namespace) -> None:
    recipe = _recipe(arguments)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    training, judged = _unpacked(arguments.frames, recipe)
    torch.manual_seed(recipe.fit.seed)
    network = build(recipe.model.scale, recipe.model.attention, recipe.model.attended)
    if arguments.start is not None:
        take_start(network, read_start(arguments.start), arguments.start, lambda name: recipe.model.attention in name)
    arguments.out.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    task = Detecting(network.to(device), recipe.model, recipe.task, recipe.fit, training, judged)
    seconds = _seconds_per_step(task, recipe, device)
    epochs = max(1, int(SPARED * 60 * arguments.minutes / (seconds * task.steps())))
    print(f"{device}: {seconds:.3f} s per step of {recipe.task.batch}, {task.steps()} steps per epoch: {epochs} epochs")
    fitting = recipe.fit.model_copy(update={"epochs": epochs, "validate_every": epochs})
    task = Detecting(network, recipe.model, recipe.task, fitting, training, judged)
    network = _fitted(task, fitting, arguments, device, began)
    figures = {"epochs": epochs, "seconds_per_step": seconds, "minutes": (time.monotonic() - began) / 60}
    if arguments.steps is None:
        figures |= task.validate(network)
        if recipe.task.false_positives is not None:
            figures["confidence"] = task.operating_point(network, recipe.task.false_positives)
    save_file(stored(network.state_dict(), half=True), arguments.out / "detector.safetensors")
    (arguments.out / "figures.json").write_text(json.dumps(figures, indent=1))
    print(json.dumps(figures, indent=1))


class _Enough(Exception):
    """The steps that were asked for are done."""


def _fitted(
    task: Detecting, fitting: FitRecipe, arguments: argparse.Namespace, device: torch.device, began: float
) -> torch.nn.Module:
    """By the project's own loop, which prints how far it is."""

    def progress(done: int, total: int, how: str) -> None:
        if done % 50 == 0 or done == total:
            print(f"{done} of {total}, {(time.monotonic() - began) / 60:.1f} min: {how}", flush=True)
        if done == arguments.steps:
            raise _Enough

    try:
        return fit(task, fitting, arguments.out / "checkpoint", device, progress)
    except _Enough:
        return task.network.eval()


def _seconds_per_step(task: Detecting, recipe: Recipe, device: torch.device) -> float:
    """Forward, backward and the making of pictures, without an optimizer's step."""
    task.network.train()
    times = []
    for number, batch in enumerate(task.batches(0)):
        began = time.monotonic()
        with torch.autocast(device.type, torch.float16, enabled=device.type == "cuda"):
            loss, _ = task.loss(task.network, batch)
        loss.backward()  # type: ignore[no-untyped-call]
        task.network.zero_grad()
        if device.type == "cuda":
            torch.cuda.synchronize()
        times.append(time.monotonic() - began)
        if number >= (MEASURED_STEPS if device.type == "cuda" else 1):
            break
    return float(np.median(times[2:] or times))


def _recipe(arguments: argparse.Namespace) -> Recipe:
    """The recipe with what the command line changes."""
    recipe = recipe_of("detector", arguments.recipe)

    def asked(name: str) -> Any:
        return getattr(arguments, name, None)

    model = {"mm_per_px": arguments.mm, "scale": asked("scale"), "input_px": asked("window")}
    task = {"batch": asked("batch")}
    precision = {"mixed_precision": torch.cuda.is_available()}
    return replace(
        recipe,
        model=type(recipe.model).model_validate(recipe.model.model_dump() | _given(model)),
        task=type(recipe.task).model_validate(recipe.task.model_dump() | _given(task)),
        fit=recipe.fit.model_copy(update=precision),
    )


def _given(values: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items() if value}


def _unpacked(path: Path, recipe: Recipe) -> tuple[list[TrainingImage], list[Framed]]:
    with zipfile.ZipFile(path) as file:
        listing = json.loads(file.read(LISTING))
        if listing["mm_per_px"] != recipe.model.mm_per_px:
            sys.exit(f"{path} was packed at {listing['mm_per_px']} mm per pixel, not {recipe.model.mm_per_px}.")
        training = [
            TrainingImage(
                image["dataset"],
                _grey(file.read(f"training/{number}.jpg")),
                tuple(np.array(points, dtype=np.float32) for points in image["outlines"]),
                tuple(image["kinds"]),
            )
            for number, image in enumerate(listing["training"])
        ]
        judged = []
        for number, image in enumerate(listing["validation"]):
            pixels = _grey(file.read(f"validation/{number}.jpg")).astype(np.float32) / np.float32(255)
            scale, top, left = image["place"]
            shown = Frame(pixels, Box(*image["part"]), scale, top, left)
            judged.append(Framed(image["patient"], shown, tuple(Box(*box) for box in image["lesions"])))
    return training, judged


def _jpeg(levels: NDArray[np.uint8]) -> bytes:
    return cv2.imencode(".jpg", levels, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()


def _grey(data: bytes) -> NDArray[np.uint8]:
    return np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE))


if __name__ == "__main__":
    main()
