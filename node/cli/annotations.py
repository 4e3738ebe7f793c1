"""`mammo-node annotations`: experts' corrections of the node's outlines, received through the PACS."""

from __future__ import annotations

import json
import math
import time
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from models.types.words import counted
from node.cli.terminal.moments import local_time
from node.cli.terminal.options import DEFAULT_CONFIG, AsJson, ConfigFile, open_queue

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from config.settings import Settings
    from models.measures.detection import Figure
    from node.annotations.compared import Comparison
    from node.annotations.stats import AnnotationStats
    from node.annotations.truth import Annotations, NotCounted


class ExportLayout(StrEnum):
    ARCHIVE = "archive"
    CSV = "csv"
    COCO = "coco"
    YOLO = "yolo"
    NNUNET = "nnunet"


annotation_commands = typer.Typer(
    help="Experts' corrected segmentations, compared with the node's proposals.", no_args_is_help=True
)


@annotation_commands.command("list")
def list_annotations(
    config: ConfigFile = DEFAULT_CONFIG,
    due: Annotated[
        bool,
        typer.Option(
            "--due",
            help="Instead, the studies selected for review without a corrected image, with StudyInstanceUIDs.",
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show each corrected image: study, who, when, lesions, and the agreement with the node's proposals.

    For the administrator at the machine: it shows experts' names, but no patient's. With --due it shows each study's
    StudyInstanceUID, by which the PACS leads to the patient: patient data.
    """
    from config.settings import load
    from node.operations.annotations import compare_all

    settings = load(config)
    found = _found(settings)
    if due:
        _list_due(settings, found, as_json)
        return
    comparisons, unreadable = compare_all(found, settings.data_dir)
    if as_json:
        not_counted = [_not_counted_values(annotation) for annotation in found.not_counted]
        values = [_values(comparison) for comparison in comparisons]
        unusable = [
            {"annotation": image.annotation_id, "study": image.study_id, "image": image.image_id, "why": why}
            for image, why in unreadable
        ]
        typer.echo(json.dumps({"images": values, "not_counted": not_counted + unusable}, indent=2))
        return
    typer.echo(f"{counted(len(comparisons), 'corrected image')}")
    for comparison in comparisons:
        typer.echo("\n".join(_lines(comparison)))
    for other in found.not_counted:
        place = "" if other.image_id is None else f"image {other.image_id}: "
        typer.echo(
            f"study {other.study_id}  not counted: {place}annotation {other.annotation_id}, "
            f"from {other.source or 'a file'} {local_time(other.received_at)}: {other.why}"
        )
    for image, why in unreadable:
        typer.echo(f"study {image.study_id}  not counted: image {image.image_id}: {why}")


@annotation_commands.command("export")
def export_annotations(
    out: Annotated[Path, typer.Option("--out", help="A new or empty folder.", file_okay=False)],
    layout: Annotated[ExportLayout, typer.Option("--as", help="Layout of the folder.")] = ExportLayout.ARCHIVE,
    config: ConfigFile = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Copy corrected images and their outlines to a folder, for `--data archive:FOLDER` of train and evaluate.

    Patients and experts have pseudonyms in archive.json, but the images and segmentations themselves are copied as they
    were received and STILL HOLD PATIENT DATA: de-identify them before you give them to anybody.

    With --as csv, coco, yolo or nnunet, images are written as PNG, without headers, in the layout of other programs
    (`--data NAME:…` reads it too). Text that is burnt into the images STAYS IN THEM.
    """
    from config.settings import load
    from models.datasets.own.writing import Layout
    from node.annotations.archive_cases import true_images
    from node.annotations.export import export, export_as, must_be_empty
    from node.annotations.pseudonyms import open_pseudonyms
    from node.audit.actors import command_line
    from node.operations.acts import note_export

    settings = load(config)
    found = _found(settings)
    images, left_out = true_images(found, settings.data_dir, open_pseudonyms(settings.data_dir))
    must_be_empty(out)
    with open_queue(settings).begin() as session:
        numbers = [image.image.study_id for image in images]
        note_export(session, numbers, out, counted(len(images), "corrected image"), command_line(), time.time())
    if layout is ExportLayout.ARCHIVE:
        export(images, settings.data_dir, out)
        hold = "The DICOM files hold patient data as they were received."
    else:
        left_out += export_as(Layout(layout), images, settings.data_dir, out)
        hold = "The pictures hold what is burnt into them."
    if as_json:
        named = [{"what": left.name, "why": left.reason} for left in left_out]
        typer.echo(json.dumps({"images": len(images), "out": str(out), "left_out": named}, indent=2))
        return
    for left in left_out:
        typer.echo(f"left out: {left.name}: {left.reason}")
    typer.echo(f"{counted(len(images), 'image')} in {out}. {hold}")


@annotation_commands.command("stats")
def stats_of_annotations(config: ConfigFile = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """Show how well proposals and corrections agree: Dice, added, removed, with 95 % intervals by patient."""
    from config.settings import load
    from node.annotations.stats import annotation_stats
    from node.operations.annotations import compare_all

    settings = load(config)
    found = _found(settings)
    comparisons, unreadable = compare_all(found, settings.data_dir)
    not_used = len(found.not_counted) + len(unreadable)
    stats = annotation_stats(comparisons)
    if as_json:
        typer.echo(json.dumps({**_stats_values(stats), "not_counted": not_used}, indent=2))
        return
    for line in _stats_lines(stats):
        typer.echo(line)
    if not_used:
        typer.echo(f"{not_used} not counted: `mammo-node annotations list` says why")


def _found(settings: Settings) -> Annotations:
    from node.annotations.truth import read_annotations
    from node.store.database import read_only

    with read_only(open_queue(settings)) as session:
        return read_annotations(session, settings.data_dir)


def _list_due(settings: Settings, found: Annotations, as_json: bool) -> None:
    from node.operations.annotations import due_studies
    from node.store.database import read_only

    share = settings.review.share
    with read_only(open_queue(settings)) as session:
        due = due_studies(session, settings, found)
    if as_json:
        values = [
            {
                "study": study.study_id,
                "study_instance_uid": study.study_instance_uid,
                "revision": study.revision,
                "reported_at": study.reported_at,
            }
            for study in due
        ]
        typer.echo(json.dumps({"share": share, "due": values}, indent=2))
        return
    studies = counted(len(due), "study", "studies")
    typer.echo(f"{studies} due for review; {share:.0%} of the reported studies are selected (review.share)")
    for study in due:
        typer.echo(f"{study.study_id}  reported {local_time(study.reported_at)}  {study.study_instance_uid}")


def _lines(comparison: Comparison) -> Iterator[str]:
    image = comparison.image
    side = {"L": "left", "R": "right"}.get(image.laterality or "", "")
    place = " ".join(filter(None, (f"image {image.image_id}", side, image.view)))
    drawn = local_time(image.created_at) if image.created_at is not None else "at a time not stated"
    earlier = f"; {counted(image.earlier, 'earlier comparison')} kept" if image.earlier else ""
    yield (
        f"study {image.study_id}  {place}: by {image.creator or 'somebody without a name'}, {drawn}, "
        f"from {image.source or 'a file'} {local_time(image.received_at)}{earlier}"
    )
    if image.proposal_lost:
        yield f"   {counted(len(comparison.drawn), 'lesion')}; no comparison: {image.proposal_lost}"
        return
    if image.revision is None:
        yield f"   {counted(len(comparison.drawn), 'lesion')}; no comparison: the node had proposed nothing"
        return
    dices = ", ".join(f"{pair.dice:.3f}" for pair in comparison.kept)
    kept = f"{len(comparison.kept)} kept" + (f" (Dice {dices})" if dices else "")
    yield (
        f"   {counted(len(comparison.drawn), 'lesion')}: {kept}, {len(comparison.added)} added, "
        f"{len(comparison.removed)} removed; against revision {image.revision}"
    )


def _values(comparison: Comparison) -> dict[str, Any]:
    image = comparison.image
    return {
        "annotation": image.annotation_id,
        "study": image.study_id,
        "image": image.image_id,
        "laterality": image.laterality,
        "view": image.view,
        "creator": image.creator,
        "created_at": image.created_at,
        "source": image.source,
        "received_at": image.received_at,
        "earlier": image.earlier,
        "revision": image.revision,
        "proposal_lost": image.proposal_lost,
        "lesions": [{"label": lesion.label, "kind": lesion.kind} for lesion in comparison.drawn],
        "dice": [pair.dice for pair in comparison.kept],
        "added": [lesion.label for lesion in comparison.added],
        "removed": [lesion.label for lesion in comparison.removed],
    }


def _not_counted_values(annotation: NotCounted) -> dict[str, Any]:
    return {
        "annotation": annotation.annotation_id,
        "study": annotation.study_id,
        "image": annotation.image_id,
        "source": annotation.source,
        "received_at": annotation.received_at,
        "why": annotation.why,
    }


def _stats_values(stats: AnnotationStats) -> dict[str, Any]:
    return {name: value if not hasattr(value, "low") else _figure_values(value) for name, value in vars(stats).items()}


def _figure_values(figure: Figure) -> dict[str, float | None]:
    known = not math.isnan(figure.low)
    return {"value": figure.value, "low": figure.low if known else None, "high": figure.high if known else None}


def _stats_lines(stats: AnnotationStats) -> Sequence[str]:
    return [
        f"corrected: {counted(stats.images, 'image')} of {counted(stats.patients, 'patient')}, "
        f"{stats.compared} with proposals",
        f"lesions: {stats.proposed} proposed, {stats.drawn} drawn by experts",
        f"   kept {stats.kept} ({stats.unchanged} unchanged), added {stats.added}, removed {stats.removed}",
        f"Dice of the kept: mean {_figure_text(stats.dice_mean)}, median {_figure_text(stats.dice_median)}",
        f"of the drawn, proposed: {_figure_text(stats.found)}",
        f"of the proposed, kept: {_figure_text(stats.right)}",
    ]


def _figure_text(figure: Figure | None) -> str:
    if figure is None:
        return "none"
    if math.isnan(figure.low):
        return f"{figure.value:.3f} (too few patients for an interval)"
    return f"{figure.value:.3f} ({figure.low:.3f} to {figure.high:.3f})"
