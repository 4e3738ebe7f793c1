"""`mammo-node demo`: reads real mammograms through a node."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from models.types.words import RESEARCH_USE_ONLY
from node.cli.terminal.failure import CommandFailed

if TYPE_CHECKING:
    from models.types.exam import ExamImage
    from node.demo.run import Demo, Outcome
    from node.demo.studies import DemoStudy


def demo(
    out: Annotated[Path, typer.Option("--out", help="The folder for everything that the demo writes.")] = Path("demo"),
    keep: Annotated[bool, typer.Option("--keep", help="Keep node and PACS running until Ctrl-C.")] = False,
) -> None:
    """Send two real four-view exams through a node, and show the results.

    Starts a node and a small receiving PACS on this machine (not reachable from others), makes two mammography studies
    of real CBIS-DDSM films, sends them by C-STORE, and prints the node's findings with the radiologist's BI-RADS
    category and the pathology. The results, a PNG overlay of every view and the summary page stay in the folder.
    """
    import tempfile

    from node.demo.run import Demo
    from node.demo.studies import CHANGES, find_cases, make_studies

    console = Console()
    out.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="run-", dir=out))
    studies = make_studies(find_cases(), folder / "studies")
    console.print(f"Two real exams: {CHANGES}\n")
    scene = Demo(folder, shows_page=keep)
    with scene.running():
        _print_text(
            console, f"A node listens on 127.0.0.1:{scene.port}; its settings and log: {folder}/node.toml, node.log"
        )
        _show_progress(scene, studies, console)
        outcomes = [scene.outcome(study) for study in studies]
        _print_outcomes(outcomes, folder, console)
        if keep:
            _wait_for_ctrl_c(scene, console)


def _show_progress(scene: Demo, studies: list[DemoStudy], console: Console) -> None:
    images = sum(len(study.files) for study in studies)
    columns = (TextColumn("{task.description:<28}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as bars:
        sent = bars.add_task("sent to the node (C-STORE)", total=images)
        read = bars.add_task("read", total=images)
        back = bars.add_task("studies back in the PACS", total=len(studies))
        scene.send(studies, lambda _: bars.advance(sent))
        pause = threading.Event()
        while not (progress := scene.progress()).delivered:
            bars.update(read, completed=progress.read)
            pause.wait(0.3)
        bars.update(read, completed=progress.read)
        bars.update(back, completed=len(studies))


def _print_outcomes(outcomes: list[Outcome], folder: Path, console: Console) -> None:
    from dicom_io.results.statements import in_words

    for outcome in outcomes:
        exam = outcome.exam
        table = Table(title=f"\nPatient {outcome.study.patient_id}", title_justify="left", show_lines=True)
        for heading in ("view", "findings (score)", "image's score", "breast's score", "radiologist", "pathology"):
            table.add_column(heading)
        truths = {truth.laterality: truth for truth in outcome.study.truth}
        scores = {breast.laterality: breast.malignancy for breast in exam.breasts}
        for image in exam.images:
            if image.laterality is None:
                raise CommandFailed("A demo image came back without its laterality.")
            truth = truths[image.laterality]
            table.add_row(
                f"{image.laterality} {image.view}",
                _findings(image),
                f"{image.reading.malignancy:.2f}",
                f"{scores[image.laterality]:.2f}",
                f"BI-RADS {truth.assessment}",
                truth.pathology,
            )
        console.print(table)
        _print_text(console, f"In all: {in_words(exam)}")
        caveats = dict.fromkeys(image.reading.caveat for image in exam.images if image.reading.caveat)
        for sentence in (
            *(f"Its probabilities: {caveat}" for caveat in caveats),
            *(image.reason for image in exam.unread),
            *exam.warnings,
        ):
            console.print(f"  {sentence}", style="yellow", markup=False, soft_wrap=True)
        _print_text(console, f"Results in the demo's PACS: {_counted(outcome.results, 'objects')}")
        _print_text(console, f"Overlays and summary page: {_counted(outcome.overlays, 'images')}")
    _print_text(
        console,
        f"\nAll files are in {folder}.\n"
        "Two exams show how the node works, not how good these small models are: see the figures in their card.md.",
    )
    console.print(f"[bold]{RESEARCH_USE_ONLY}[/bold]")


def _print_text(console: Console, text: str) -> None:
    """Prints a text with paths, without Rich's line breaks and markup."""
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def _counted(files: list[Path], noun: str) -> str:
    return f"{len(files)} {noun} in {files[0].parent}" if files else "none"


def _findings(image: ExamImage) -> str:
    from dicom_io.results.labels import lesion_label

    lines = [lesion_label(image, number) for number in range(1, len(image.reading.findings) + 1)]
    return "\n".join(lines) or "none"


def _wait_for_ctrl_c(scene: Demo, console: Console) -> None:
    _print_text(
        console,
        f"\nThe node is still running. Its page: {scene.settings.web.address if scene.settings else ''}\n"
        f"Its queue: `mammo-node status --config {scene.folder}/node.toml`, or send more with\n"
        f"`mammo-node send FOLDER MAMMO_NODE@127.0.0.1:{scene.port} --calling DEMO_SENDER`. Ctrl-C ends it.",
    )
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        console.print("Ended.")
