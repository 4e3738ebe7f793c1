"""`mammo-node reread`: reads a study again, with the same or other models."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Annotated

import typer

from models.types.words import RESEARCH_USE_ONLY
from node.cli.terminal.options import DEFAULT_CONFIG, AsJson, ConfigFile, open_queue

if TYPE_CHECKING:
    from models.types.reading import ImageReading
    from node.reader.reread import Reread, Rereading


def reread(
    study: Annotated[str, typer.Argument(help="The study's id, as `status` shows it, or its Study Instance UID.")],
    bundle: Annotated[
        str | None, typer.Option(help="A shipped bundle's name, or the folder of one. Left out: the node's.")
    ] = None,
    shadow: Annotated[
        bool, typer.Option("--shadow", help="Only compare with the earlier reading; the study stays as it is.")
    ] = False,
    config: ConfigFile = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Read a reported study again, with other models or the same, and print the differences.

    The models run in this command; the node may run too. Without --shadow the new readings replace the old ones, and
    the node reports the study again, as its next revision. With it the comparison is kept, for the page, and nothing
    is sent. Research use only, not for diagnosis.
    """
    from config.settings import load
    from node.audit.actors import command_line
    from node.cli.terminal.progress import progress_bar
    from node.operations.acts import Act, Deed, note
    from node.operations.rereading import read_again
    from node.operations.studies import find_study
    from node.store.database import read_only

    settings = load(config)
    sessions = open_queue(settings)
    with read_only(sessions) as session:
        study_id = find_study(session, study)
    with progress_bar("Reading again") as progress:
        rereading, revision = read_again(settings, sessions, study_id, bundle, time.time, progress, shadow=shadow)
    with sessions.begin() as session:
        deed = Deed.SHADOWED if shadow else Deed.READ_AGAIN
        note(session, Act(deed, command_line(), study=study_id), time.time())
    typer.echo(_as_json(rereading, revision) if as_json else _as_text(rereading, revision))


def _as_text(rereading: Rereading, revision: int | None) -> str:
    lines = [_line(image) for image in rereading.images]
    before, now = rereading.deciding
    lines.append(f"exam: score {before.malignancy:.3f} → {now.malignancy:.3f}")
    outcome = "shadow: it stays as it is" if revision is None else f"revision {revision} will be reported"
    return "\n".join([*lines, f"study {rereading.study_id}: {outcome}", RESEARCH_USE_ONLY])


def _line(image: Reread) -> str:
    name = f"image {image.instance_id} ({image.laterality or '?'} {image.view or '?'})"
    bundles = f"{image.before.bundle} → {image.now.bundle}"
    return (
        f"{name}: {bundles}: score {image.before.malignancy:.3f} → {image.now.malignancy:.3f}; findings: "
        f"{len(image.kept)} kept, {image.new} new, {image.gone} gone"
    )


def _as_json(rereading: Rereading, revision: int | None) -> str:
    images = [
        {
            "image": image.instance_id,
            "laterality": image.laterality,
            "view": image.view,
            "bundles": [str(image.before.bundle), str(image.now.bundle)],
            "malignancy": [image.before.malignancy, image.now.malignancy],
            "category": [_category(image.before), _category(image.now)],
            "findings_kept": [[old.malignancy, new.malignancy] for old, new in image.kept],
            "findings_new": image.new,
            "findings_gone": image.gone,
        }
        for image in rereading.images
    ]
    values = {
        "study": rereading.study_id,
        "revision": revision,
        "malignancy": [reading.malignancy for reading in rereading.deciding],
        "images": images,
    }
    return json.dumps(values, indent=2)


def _category(reading: ImageReading) -> str | None:
    return str(reading.likelihood.category) if reading.likelihood else None
