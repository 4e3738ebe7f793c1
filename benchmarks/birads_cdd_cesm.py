"""Radiologists' BI-RADS against the pathology on CDD-CESM, by breast: the figures of docs/birads.md.

    .venv/bin/python benchmarks/birads_cdd_cesm.py ANNOTATIONS.csv

ANNOTATIONS.csv is the set's published table of images as CSV. Only low-energy images (Type DM) count. A breast has the
most suspicious category and the worst pathology of its images.
"""

from __future__ import annotations

import argparse
import csv
from collections import defaultdict
from pathlib import Path

from models.birads.agreement import Compared
from models.birads.calibration import Level
from models.datasets.labels import birads_of
from models.evaluation.agreement_tables import decision_table
from models.evaluation.report import text
from models.evaluation.tables import Draws
from models.types.birads import Category, most_severe


def breasts(table: Path) -> list[Compared]:
    """The breasts of the table. A score stands for "read": the models take no part."""
    images: dict[tuple[str, str], list[dict[str, str]]] = defaultdict(list)
    with table.open(encoding="utf-8-sig", newline="") as lines:
        for row in csv.DictReader(lines):
            if row["Type"].strip() == "DM":
                images[row["Patient_ID"].strip(), row["Side"].strip()].append(row)
    return [
        Compared(
            patient,
            0.0,
            assigned=most_severe(Category(found) for row in rows if (found := birads_of(row["BIRADS"])) is not None),
            malignant=any(row["Pathology Classification/ Follow up"].strip() == "Malignant" for row in rows),
        )
        for (patient, _), rows in images.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path)
    found = breasts(parser.parse_args().table)
    table = decision_table(found, Level.BREAST, Draws())
    row = next(row for row in table.rows if row.name == "radiologists")
    for column, cell in zip(table.columns, row.cells, strict=True):
        print(f"{column:10} {text(cell, table)}")
    print(f"left out: {sum(one.truth is None for one in found)} breasts of category 6")


if __name__ == "__main__":
    main()
