"""What `train`, `evaluate` and `ablate` share: their options, and the images that `--data` names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from models.types.words import counted

if TYPE_CHECKING:
    from models.datasets.case import Cases

Data = Annotated[
    list[str],
    typer.Option(
        "--data",
        help="NAME:FOLDER of a data set, NAME being cbis-ddsm, cbis-ddsm-masses, cdd-cesm, inbreast, vindr-mammo, "
        "phantom, simulated-clusters or archive; or archive alone (the node's own); may be repeated. docs/data.md says "
        "how each is laid out.",
    ),
]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda or cuda:N.")]
Resamples = Annotated[int, typer.Option("--resamples", min=1, help="Bootstrap draws of each interval.")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Of the bootstrap.")]

ARCHIVE = "archive"
_CORRECTED = " Of an archive those are used whose segmentation an expert has corrected: `mammo-node annotations list`."


def open_cases(data: list[str], config: Path) -> Cases:
    """The images of `--data`: data sets by NAME:FOLDER, and the archive of the node that `config` is of.

    Raises:
        DatasetError: one cannot be used, or two hold the same image: an archive and its export do.
        SettingsError: the archive is asked for, and the node's settings cannot be read.
    """
    from dicom_io.pixels.case_reader import CaseReader
    from models.datasets.case import DatasetError
    from models.datasets.catalog import of_set, open_data, put_together

    reader, specs = CaseReader(), [spec for spec in data if spec != ARCHIVE]
    opened = [open_data(specs, reader)] if specs or not data else []
    if ARCHIVE in data:
        from config.settings import load
        from node.annotations.archive_cases import archive_cases

        opened.append(of_set(ARCHIVE, archive_cases(load(config), reader)))
    cases = put_together(opened)
    if not cases.cases:
        reasons = "; ".join(dict.fromkeys(left.reason for left in cases.left_out))
        why, cure = f" ({reasons})" if reasons else "", _CORRECTED if ARCHIVE in data else ""
        raise DatasetError(f"{', '.join(data)}: no image can be used{why}.{cure}")
    return cases


def summary_of_cases(cases: Cases) -> str:
    """What is used, what was mended, and what was left out, one line per reason."""
    patients = len({case.patient for case in cases.cases})
    lines = [f"{counted(len(cases.cases), 'image')} of {counted(patients, 'patient')}."]
    lines += [f"Mended: {sentence}" for sentence in cases.mended]
    reasons = Counter(left.reason for left in cases.left_out)
    lines += [f"Left out: {count}: {reason}" for reason, count in reasons.most_common()]
    return "\n".join(lines)


def named(spec: str) -> str:
    """A data set of `--data` without its folder's path, which is nobody else's business."""
    name, _, folder = spec.partition(":")
    return f"{name} ({Path(folder).name})" if folder else name


def warn(sentences: Iterable[str]) -> None:
    """Prints each in red."""
    for sentence in sentences:
        typer.secho(sentence, fg=typer.colors.RED, bold=True)
