"""CSV tables: every row is used or named with its fault, or the table is refused with a sentence."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from dicom_bytes import damaged
from hypothesis import strategies as some

MODULES = (
    "node/assessments/text/report.py",
    "node/assessments/csv_rows.py",
    "node/assessments/from_csv.py",
    "node/agreement/pathology.py",
)
_HEADS = (
    "study_instance_uid,accession_number,patient_id,laterality,category,assessed_at",
    "\ufeffaccession_number;laterality;category",
    "Study_Instance_UID, category ,laterality",
    "study_instance_uid,laterality,pathology",
    "accession_number;pathology",
    "accession_number\tcategory",
    "category,category,accession_number,laterality",
)
_CELLS = (
    "", "1.2.3", "A1", "L", "R", "both", "left", "2", "4A", "IV", "BI-RADS 4", "9", "benign", "MALIGNANT",
    "BENIGN_WITHOUT_CALLBACK", "2026-01-31T14:05", "2026-01-31", "20260131T140500Z", '"a;b"', '"a\nb"',
)  # fmt: skip
_NASTY_CELLS = (
    "9999-12-31T23:59:59-23:59", "0001-01-01T00:00+14:00", '"', '"un', "a\0b", "\u0130", "\u0661", "\u2028",
    "x" * 140_000,
)  # fmt: skip
_PROPER = {
    "study_instance_uid": ("1.2.3", "1.2.4"),
    "accession_number": ("A1", "A2"),
    "patient_id": ("ONE", ""),
    "laterality": ("L", "R", "both", ""),
    "category": ("2", "4A", "BI-RADS 4", "IV"),
    "assessed_at": ("", "2026-01-31T14:05", "20260131T140500Z"),
    "pathology": ("benign", "MALIGNANT"),
}


def _cell(column: str) -> some.SearchStrategy[str]:
    proper = some.sampled_from(_PROPER.get(column.strip("\ufeff ").lower(), ("",)))
    return some.integers(0, 19).flatmap(
        lambda chance: some.sampled_from((_NASTY_CELLS, _CELLS, _CELLS)[chance]) if chance < 3 else proper
    )


@some.composite
def inputs(drawn: some.DrawFn) -> bytes:
    head = drawn(some.sampled_from(_HEADS))
    separator = ";" if ";" in head else ","
    columns = head.split(separator)
    columns = columns + drawn(some.sampled_from([[], [], [], [], [], ["more"]]))
    rows = drawn(some.lists(some.tuples(*map(_cell, columns)), max_size=6))
    end = drawn(some.sampled_from(["\n", "\r\n", "\r", "\n\n"]))
    table = end.join([head, *(separator.join(row) for row in rows)])
    data = table.encode(drawn(some.sampled_from(["utf-8"] * 6 + ["utf-16", "utf-8-sig"])))
    return drawn(damaged([data], most=3)) if drawn(some.integers(0, 2)) == 0 else data


@contextmanager
def opened(folder: Path) -> Iterator[Callable[[bytes], str]]:
    from node.agreement.pathology import read_pathology
    from node.assessments.csv_rows import NoTable
    from node.assessments.from_csv import read_table

    path = folder / "table.csv"

    def run(data: bytes) -> str:
        path.write_bytes(data)
        refused: list[str] = []
        for reader in (read_table, read_pathology):
            try:
                reader(path)
            except NoTable as refusal:
                refused.append(str(refusal))
        assert all(why.endswith(".") for why in refused)
        return "refused" if len(refused) == 2 else "read"

    yield run
