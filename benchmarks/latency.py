"""From the last image sent to the SR stored in Orthanc: where the time goes.

    .venv/bin/python benchmarks/latency.py [--repeat N] [--device cpu|cuda] [--json]

Sends the demo's exams (real CBIS-DDSM films, four views each) to a real node whose destination is Debian's Orthanc.
The first exam warms the reader up (loading the models) and is not counted. The quiet period that the node waits for
after four views is taken off: it is a setting, not work. All times are the node's own records, from the last image's
row (written before its Success) to the SR's acknowledgement by Orthanc.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))

from orthanc import Orthanc, debian_orthanc
from pydicom import dcmread
from pydicom.uid import UID
from rich.console import Console
from rich.table import Table
from running import RunningNode, eventually
from sqlalchemy import select

from dicom_io.network.peer import Peer
from dicom_io.network.scu import send_files
from dicom_io.uids import derive_uid
from node.demo.studies import DemoStudy, find_cases, make_studies
from node.store.states import DeliveryState, StudyState
from node.store.tables import Delivery, Result, Study

QUIET_S = 1.0
STEPS = ("noticed as complete", "read and reported", "delivered")
"""They follow one another and add up to the total."""
READING = ("decode", "detect", "segment", "classify")
"""Work of the reader on all four images; it begins while images still arrive."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=3, help="exams to time")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        runs = measure(Path(scratch), arguments.repeat, arguments.device)
    medians = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
    if arguments.json:
        print(json.dumps({"quiet_s": QUIET_S, "runs": runs, "median": medians}, indent=2))
    else:
        show(medians, len(runs))


def measure(scratch: Path, repeat: int, device: str) -> list[dict[str, float]]:
    exams = make_studies(find_cases(), scratch / "exams")
    with debian_orthanc(scratch / "orthanc") as orthanc:
        node = RunningNode(scratch / "node", settings(orthanc, device))
        node.start()
        try:
            time_exam(node, exams[0], scratch, "warm")
            return [time_exam(node, exams[1], scratch, str(number)) for number in range(repeat)]
        finally:
            node.end()


def settings(orthanc: Orthanc, device: str) -> str:
    return f"""
[[senders]]
ae_title = "BENCH"
[closing]
four_views_quiet_s = {QUIET_S}
[reader]
device = "{device}"
[[destinations]]
name = "orthanc"
ae_title = "{orthanc.ae_title}"
host = "{orthanc.host}"
port = {orthanc.dicom_port}
"""


def time_exam(node: RunningNode, exam: DemoStudy, scratch: Path, name: str) -> dict[str, float]:
    """Seconds by stage, for an exam under UIDs of its own."""
    study_instance_uid, files = renamed(exam, scratch / "sent" / name, name)
    for sent in send_files(Peer("MAMMO_NODE", "127.0.0.1", node.port, 60, "BENCH"), files):
        if sent.error:
            sys.exit(f"{sent.path}: {sent.error}")

    def delivered() -> dict[str, float] | None:
        with node.database() as session:
            study = session.scalars(select(Study).where(Study.study_instance_uid == study_instance_uid)).one_or_none()
            if study is None or study.state != StudyState.REPORTED:
                return None
            rows = session.execute(
                select(Delivery, Result).join(Delivery.result).where(Result.study_id == study.id)
            ).all()
            if any(delivery.state != DeliveryState.SENT for delivery, _ in rows):
                return None
            return stages(study, [delivery for delivery, _ in rows], [result for _, result in rows])

    return eventually("the exam is delivered", delivered, timeout_s=600)


def stages(study: Study, deliveries: list[Delivery], results: list[Result]) -> dict[str, float]:
    report = next(result for result in results if result.kind == "SR")
    sent = next(delivery.sent_at for delivery in deliveries if delivery.result_id == report.id) or 0.0
    closed = study.closed_at or 0.0
    last_received = max(instance.received_at for instance in study.instances)
    steps = (closed - last_received - QUIET_S, report.written_at - closed, sent - report.written_at)
    readings: list[dict[str, Any]] = [instance.reading or {} for instance in study.instances]
    return {
        "total": sum(steps),
        **dict(zip(STEPS, steps, strict=True)),
        **{stage: sum(float(reading["seconds"].get(stage, 0)) for reading in readings) for stage in READING},
    }


def renamed(exam: DemoStudy, folder: Path, name: str) -> tuple[str, list[Path]]:
    """A copy of the exam under new UIDs, so that the node takes it for another."""
    folder.mkdir(parents=True)
    study_instance_uid = derive_uid(exam.study_instance_uid, name)
    files = []
    for number, file in enumerate(exam.files):
        dataset = dcmread(file)
        dataset.StudyInstanceUID = study_instance_uid
        uid = UID(derive_uid(dataset.SOPInstanceUID, name))
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = uid
        dataset.SeriesInstanceUID = derive_uid(dataset.SeriesInstanceUID, name)
        files.append(folder / f"{number}.dcm")
        dataset.save_as(files[-1])
    return study_instance_uid, files


def show(medians: dict[str, float], runs: int) -> None:
    table = Table(title=f"Last image sent → SR in Orthanc, less the quiet of {QUIET_S:g} s; median of {runs}")
    for heading in ("", "seconds", "share of the total"):
        table.add_column(heading, justify="right" if heading else "left")
    for name in (*STEPS, "total"):
        table.add_row(
            name, f"{medians[name]:.2f}", f"{medians[name] / medians['total']:.0%}", end_section=name == "total"
        )
    for name in READING:
        table.add_row(f"of it, or before: {name}, four images", f"{medians[name]:.2f}", "")
    Console().print(table)


if __name__ == "__main__":
    main()
