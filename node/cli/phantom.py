"""`mammo-node phantom`: synthetic mammograms with known lesions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from node.cli.terminal.failure import CommandFailed
from node.cli.terminal.progress import image_bar


def phantom(
    studies: Annotated[int, typer.Option(min=1, max=9999, help="How many four-view studies.")],
    out: Annotated[Path, typer.Option("--out", help="A new folder, or that of an earlier run.")],
    seed: Annotated[int, typer.Option(min=0, max=999_999, help="The same seed gives the same bytes.")] = 1,
    spacing_mm: Annotated[
        float, typer.Option(min=0.05, max=0.5, help="Pixel size; clinical ones are 0.05 to 0.1.")
    ] = 0.1,
    lesions: Annotated[float, typer.Option(min=0, max=1, help="Share of the breasts that have a lesion.")] = 0.4,
    malignant: Annotated[float, typer.Option(min=0, max=1, help="Share of the lesions that are malignant.")] = 0.5,
) -> None:
    """Make synthetic mammography studies with known lesions.

    Writes four-view DICOM studies to OUT/studies, and the ground truth to OUT/truth: the lesions as DICOM SEG and a
    truth.json for each study. They are for tests and load tests of a node, and say nothing about clinical performance.
    """
    from models.phantom.exam import Prevalence
    from node.demo.phantoms import PhantomSet, write_set

    phantoms = PhantomSet(seed, spacing_mm, Prevalence(lesions=lesions, malignant=malignant))
    try:
        with image_bar(hidden=False) as progress:
            for _ in progress.track(write_set(phantoms, studies, out), total=studies, description="Making phantoms"):
                pass
    except OSError as error:
        raise CommandFailed(f"--out {out}: nothing can be written there: {error.strerror}") from error
    typer.echo(f"{studies} studies in {out / 'studies'}, their truth in {out / 'truth'}.")
    typer.echo("Phantoms are for tests only: they say nothing about clinical performance.")
