"""`mammo-node export`: copies for research, without identity."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from models.types.words import counted
from node.cli.terminal.options import DEFAULT_CONFIG, AsJson, ConfigFile, Since, Until, open_queue, seconds
from node.cli.terminal.writing import make_folder, writing_to

if TYPE_CHECKING:
    from collections.abc import Sequence

    from models.datasets.case import LeftOut
    from node.research.export import Exported


def export(
    deidentify: Annotated[
        Path,
        typer.Option("--deidentify", help="A new or empty folder for de-identified copies.", file_okay=False),
    ],
    study: Annotated[
        list[str] | None,
        typer.Option("--study", help="Only this study (its number, or its UID); may be given several times."),
    ] = None,
    since: Since = None,
    until: Until = None,
    corrected: Annotated[
        bool, typer.Option("--corrected", help="Only studies with an image that an expert corrected.")
    ] = False,
    config: ConfigFile = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Copy mammograms, experts' corrections and radiologists' BI-RADS categories to a folder, de-identified by DICOM
    PS3.15 Annex E (Basic Application Level Confidentiality Profile).

    Pixels are not cleaned: text that is burnt into an image stays in it. Images whose headers say so, and secondary
    captures, are left out. What cannot be cleaned is named by its number and left out, and the exit status is 1.
    """
    from importlib.metadata import version

    from config.settings import load
    from node.annotations.archive_cases import true_images
    from node.annotations.pseudonyms import open_pseudonyms
    from node.annotations.truth import of_studies, read_annotations
    from node.audit.actors import command_line
    from node.cli.terminal.progress import progress_bar
    from node.operations.acts import note_export
    from node.operations.studies import StudyFilter, find_study
    from node.research.chosen import choose, wanted_ids
    from node.research.export import Exporting
    from node.store.database import read_only

    settings = load(config)
    sessions = open_queue(settings)
    pseudonyms = open_pseudonyms(settings.data_dir)
    with read_only(sessions) as session:
        wanted = StudyFilter(
            since=seconds(since),
            until=seconds(until),
            ids=tuple(find_study(session, named) for named in study) if study else None,
        )
        found = of_studies(read_annotations(session, settings.data_dir), wanted_ids(session, wanted))
    truths, unusable = true_images(found, settings.data_dir, pseudonyms)
    with read_only(sessions) as session:
        studies, left_out = choose(session, wanted, truths, only_corrected=corrected)
    make_folder(deidentify)
    exporting = Exporting(
        deidentify,
        settings.data_dir,
        pseudonyms,
        f"mammo-node {version('mammo-node')}",
        settings.receiver.max_image_pixels,
    )
    with sessions.begin() as session:
        about = f"{counted(len(studies), 'study', 'studies')}, de-identified"
        numbers = [one.id for one in studies]
        note_export(session, numbers, deidentify, about, command_line(), time.time())
    with writing_to(deidentify), progress_bar("Exporting") as progress:
        done = iter(range(1, len(studies) + 1))
        written = exporting.write(studies, lambda: progress(next(done), len(studies), "studies"))
    kept_back = (*left_out, *unusable, *written.kept_back)
    typer.echo(_as_json(written, kept_back) if as_json else _as_text(written, kept_back, deidentify))
    raise typer.Exit(1 if written.failed else 0)


def _as_json(written: Exported, kept_back: Sequence[LeftOut]) -> str:
    counts = {"images": written.images, "segmentations": written.segmentations, "categories": written.categories}
    failed, kept = ([asdict(left) for left in lefts] for lefts in (written.failed, kept_back))
    return json.dumps({**counts, "failed": failed, "left_out": kept}, indent=2)


def _as_text(written: Exported, kept_back: Sequence[LeftOut], out: Path) -> str:
    lines = [f"left out: {left.name}: {left.reason}" for left in kept_back]
    lines += [f"NOT CLEANED, left out: {left.name}: {left.reason}" for left in written.failed]
    lines.append(
        f"{counted(written.images, 'image')}, {counted(written.segmentations, 'segmentation')}, "
        f"{counted(written.categories, 'category', 'categories')} in {out}. Pixels are not cleaned: look at the images "
        "for burnt-in text before you give them to anybody."
    )
    return "\n".join(lines)
