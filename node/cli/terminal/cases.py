"""Options of `train`, `evaluate` and `ablate`, and opening of the images of `--data`."""

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
        help="NAME:FOLDER of a data set; NAME is cbis-ddsm, cbis-ddsm-masses, cdd-cesm, inbreast, vindr-mammo, "
        "phantom, simulated-clusters, archive, or coco, yolo or nnunet for images of your own; or csv:FILE; or archive "
        "without a folder (the node's archive); may be repeated. docs/data.md has the layout of each.",
    ),
]
SplitFile = Annotated[
    Path | None,
    typer.Option("--split", help="Held-out patients (a split.json), instead of the recipe's split.", dir_okay=False),
]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda or cuda:N.")]
Resamples = Annotated[int, typer.Option("--resamples", min=1, help="Bootstrap samples of each interval.")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Random seed of the bootstrap.")]

ARCHIVE = "archive"
_CORRECTED = " Only images of the archive that an expert has corrected are used: `mammo-node annotations list`."


def one_held_out_set(split: Path | None, folds: int | None) -> None:
    """Refuses --split together with --folds."""
    if split is not None and folds is not None:
        raise typer.BadParameter("Give --split (one held-out set) or --folds (each fold is held out once), not both.")


def open_cases(data: list[str], config: Path) -> Cases:
    """Opens the images of `--data`: data sets by NAME:FOLDER, and the archive of the node with the settings `config`.

    Raises:
        DatasetError: a data set cannot be used, no image can be used, or two data sets contain the same image (for
            example an archive and its export).
        SettingsError: `data` has the archive, and the node's settings cannot be read.
    """
    from dicom_io.case_reader import CaseReader
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
    """The number of images and patients, notes on them, and what was left out, one line per reason."""
    patients = len({case.patient for case in cases.cases})
    lines = [f"{counted(len(cases.cases), 'image')} of {counted(patients, 'patient')}."]
    lines += [f"Note: {sentence}" for sentence in cases.mended]
    reasons = Counter(left.reason for left in cases.left_out)
    lines += [f"Left out: {count}: {reason}" for reason, count in reasons.most_common()]
    return "\n".join(lines)


def named(spec: str) -> str:
    """The name of a data set of `--data`, with the folder's name without its path, which may be private."""
    name, _, folder = spec.partition(":")
    return f"{name} ({Path(folder).name})" if folder else name


def warn(sentences: Iterable[str]) -> None:
    """Prints each sentence in red."""
    for sentence in sentences:
        typer.secho(sentence, fg=typer.colors.RED, bold=True)
