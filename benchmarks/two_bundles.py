"""Two bundles on the same held-out images: the figures of each, and their paired differences.

    mammo-node evaluate --bundle OLD --data NAME:FOLDER --split SPLIT.json --out OLD-REPORT
    mammo-node evaluate --bundle NEW --data NAME:FOLDER --split SPLIT.json --out NEW-REPORT
    .venv/bin/python benchmarks/two_bundles.py OLD-REPORT NEW-REPORT

Compared are the detectors (FROC) and the images' scores, for each data set, on the images that both folders have.
Neither bundle may have been trained on them. Intervals are of 95 %, by bootstrap over patients; a difference is of the
same draws.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from pydantic import TypeAdapter
from rich.console import Console
from rich.table import Table as Printed

from models.evaluation.decisions import AREA_COLUMNS, area_row
from models.evaluation.detection import FROC_COLUMNS, froc_row, measured_images
from models.evaluation.observations import Observation
from models.evaluation.paired import area_difference, froc_difference
from models.evaluation.report import text
from models.evaluation.scored import scored_images
from models.evaluation.tables import Draws, Row, Table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old", type=Path, help="folder of an evaluation")
    parser.add_argument("new", type=Path, help="folder of another bundle's evaluation")
    arguments = parser.parse_args()
    old, new = observations(arguments.old), observations(arguments.new)
    draws = Draws()
    for dataset in sorted({seen.dataset for seen in new} & {seen.dataset for seen in old}):
        before, after = shared(old, new, dataset)
        detected = [measured_images(some) for some in (before, after)]
        scored = [scored_images(some) for some in (before, after)]
        show(
            f"{dataset}: sensitivity by false positives an image",
            FROC_COLUMNS,
            [
                froc_row(detected[0], "old", draws),
                froc_row(detected[1], "new", draws),
                froc_difference.row("new − old", detected[1], detected[0], draws),
            ],
        )
        show(
            f"{dataset}: malignant against the rest, by image",
            AREA_COLUMNS,
            [
                area_row("old", scored[0], draws, "no scores"),
                area_row("new", scored[1], draws, "no scores"),
                area_difference.row("new − old", scored[1], scored[0], draws),
            ],
        )


def observations(folder: Path) -> list[Observation]:
    """What an evaluation wrote; of two lines on one image the later one."""
    rows = TypeAdapter(Observation)
    lines = (folder / "observations.jsonl").read_bytes().splitlines()[1:]
    return list({seen.name: seen for seen in map(rows.validate_json, lines)}.values())


def shared(
    old: Sequence[Observation], new: Sequence[Observation], dataset: str
) -> tuple[list[Observation], list[Observation]]:
    """The images of a set that both have."""
    both = {seen.name for seen in old} & {seen.name for seen in new}
    before, after = ([seen for seen in some if seen.dataset == dataset and seen.name in both] for some in (old, new))
    return before, after


def show(title: str, columns: Sequence[str], rows: Sequence[Row]) -> None:
    """Prints the rows, with their numbers of patients and images."""
    table = Table("", title, tuple(columns), tuple(rows))
    printed = Printed(title=title)
    for heading in ("", "patients", "images", *columns):
        printed.add_column(heading, justify="right" if heading else "left")
    for row in rows:
        counts = ("", "") if row.counts is None else (str(row.counts.patients), str(row.counts.images))
        printed.add_row(row.name, *counts, *(text(cell, table) for cell in row.cells))
    Console(width=160).print(printed)


if __name__ == "__main__":
    main()
