"""`mammo-node read`: reads the studies in a folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from models.types.words import RESEARCH_USE_ONLY, counted
from node.cli.terminal.failure import CommandFailed
from node.cli.terminal.options import AsJson, MaybeConfigFile
from node.cli.terminal.progress import image_bar
from node.cli.terminal.writing import make_folder

if TYPE_CHECKING:
    from node.folder.reading import SkippedFile, StudyOutcome

_PICTURES = (".png", ".jpg", ".jpeg", ".tif", ".tiff")


def read(
    folder: Annotated[Path, typer.Argument(help="A folder (with all below it) or one DICOM file.", exists=True)],
    out: Annotated[Path, typer.Option("--out", help="Where results are written, one folder per study.")],
    bundle: Annotated[str, typer.Option(help="A shipped bundle's name, or the folder of one.")] = "research-default",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    batch: Annotated[int, typer.Option(help="Images read at once.", min=1)] = 1,
    secondary_capture: Annotated[
        bool,
        typer.Option("--secondary-capture", help="Read secondary captures of the breast as mammograms (CBIS-DDSM)."),
    ] = False,
    profile: Annotated[
        str, typer.Option(help="The objects to write: ohif, workstation-cad-sr, overlay-only or all.")
    ] = "all",
    reference: Annotated[
        Path | None,
        typer.Option(help="A reference set (`mammo-node reference`): rank the exams' scores by its tenths."),
    ] = None,
    config: MaybeConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Read the mammography studies in a folder and write results, PNG overlays and reading.json. No network.

    A file that cannot be read is listed with the reason; the others are read. A study's results are written as soon as
    its last image is read. The exit status is 1 if a file or study that should be read was not. Research use only, not
    for diagnosis.
    """
    import tempfile
    import time
    from uuid import uuid4

    from dicom_io.device import Device
    from dicom_io.results.profiles import PROFILES
    from models.reference.reference_file import read_reference
    from node.bundles import named_bundle
    from node.folder.loading import load_for_reading
    from node.folder.reading import FolderLimits, FolderReading, files_in
    from node.store.installation import identity_of

    models = named_bundle(bundle, config)
    ranks_by = read_reference(reference, models) if reference is not None else None
    if profile not in PROFILES:
        raise CommandFailed(f"--profile {profile}: there is no such profile. Profiles: {', '.join(PROFILES)}.")
    make_folder(out)
    with tempfile.TemporaryDirectory(prefix="mammo-node-") as scratch, image_bar(hidden=as_json) as progress:
        reading = FolderReading(
            models.id,
            Device(identity_of(out, uuid4)),
            Path(scratch),
            out,
            FolderLimits(batch=batch),
            time.time,
            PROFILES[profile],
            ranks_by,
        )
        skipped = reading.take(files_in(folder, out), reads_secondary_capture=secondary_capture)
        if to_read := reading.to_read():
            loading = progress.add_task("Loading the models", total=None)
            pipeline = load_for_reading(models, device, time.perf_counter)
            progress.remove_task(loading)
            task = progress.add_task("Reading images", total=to_read)
            reading.read(pipeline, lambda count: progress.advance(task, count))
        outcomes = reading.report()
    typer.echo(_as_json(outcomes, skipped) if as_json else _as_text(outcomes, skipped))
    if not outcomes:
        raise CommandFailed(f"{folder}: there is no DICOM study in it.{_about_pictures(skipped)}")
    unread = [*skipped, *(file for outcome in outcomes for file in outcome.unread)]
    missing = any(outcome.failed for outcome in outcomes) or not all(file.on_purpose for file in unread)
    raise typer.Exit(1 if missing else 0)


def _about_pictures(skipped: list[SkippedFile]) -> str:
    if not any(file.path.suffix.lower() in _PICTURES for file in skipped):
        return ""
    return " Pictures (PNG, JPEG, TIFF) are for `mammo-node evaluate --data csv:TABLE` and for training (docs/data.md)."


def _as_json(outcomes: list[StudyOutcome], skipped: list[SkippedFile]) -> str:
    from node.folder.exam_json import tenth_to_json

    return json.dumps(
        {
            "studies": [
                {
                    "study_instance_uid": outcome.study_instance_uid,
                    "malignancy": outcome.exam.malignancy if outcome.exam else None,
                    **(tenth_to_json(outcome.exam) if outcome.exam else {}),
                    "folder": str(outcome.folder) if outcome.folder else None,
                    "why": outcome.why,
                    "failed": outcome.failed,
                    "not_read": {str(file.path): file.reason for file in outcome.unread},
                }
                for outcome in outcomes
            ],
            "skipped": {str(file.path): file.reason for file in skipped},
        },
        indent=2,
    )


def _as_text(outcomes: list[StudyOutcome], skipped: list[SkippedFile]) -> str:
    from dicom_io.results.statements import in_words

    lines = [f"skipped: {file.path}: {file.reason}" for file in skipped]
    for outcome in outcomes:
        lines += [f"not read: {file.path}: {file.reason}" for file in outcome.unread]
        if outcome.exam is None or outcome.folder is None:
            lines.append(f"Study {outcome.study_instance_uid}: nothing written: {outcome.why}")
            continue
        findings = sum(len(image.reading.findings) for image in outcome.exam.images)
        lines.append(
            f"Study {outcome.study_instance_uid}: {counted(len(outcome.exam.images), 'image')} read, "
            f"{counted(findings, 'finding')}, {in_words(outcome.exam)} → {outcome.folder}"
        )
        caveats = dict.fromkeys(image.reading.caveat for image in outcome.exam.images)
        lines += [f"  Its probabilities: {caveat}" for caveat in caveats if caveat]
    return "\n".join([*lines, RESEARCH_USE_ONLY])
