"""`make fuzz`: feeds every target for long and prints what came of it.

    python tests/fuzz/run.py [--inputs 50000] [--minutes M] [--seed 0] [--findings FOLDER] [TARGET ...]

An input that crashed or hung its target is kept in the findings' folder, one for each place in the code.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from functools import partial
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "support")]

from harness import HANGS_AFTER_S, TARGETS, Count, fuzz  # noqa: E402

SHORT = tuple(target.removeprefix("target_") for target in TARGETS)
_HANGS = f"hangs > {HANGS_AFTER_S:.0f} s"
_COLUMNS = (
    "target",
    "inputs",
    "coverage",
    "crashes",
    _HANGS,
    "files or rows alone",
    "memory",
    "time",
    "became of them",
)


def main() -> int:
    asked = argparse.ArgumentParser(description="Feeds the node's readers with damaged inputs.")
    asked.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(SHORT) + " (default: all)")
    asked.add_argument("--inputs", type=int, default=50_000, help="for each target (default: %(default)s)")
    asked.add_argument("--minutes", type=float, help="for each target at most")
    asked.add_argument("--seed", type=int, default=0, help="another one gives other inputs (default: %(default)s)")
    asked.add_argument("--findings", type=Path, default=ROOT / "artefacts" / "fuzz")
    options = asked.parse_args()
    if unknown := set(options.targets) - set(SHORT):
        asked.error(f"no target: {', '.join(sorted(unknown))}. Targets are {', '.join(SHORT)}.")
    counts = []
    for target in (f"target_{name}" for name in options.targets or SHORT):
        with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
            progress = partial(_progress, options.findings)
            counts.append(fuzz(target, options.inputs, Path(folder), options.seed, options.minutes, progress))
        print(_row(counts[-1]), flush=True)
    print(table(counts))
    return int(any(count.crashes or count.hangs or count.orphans for count in counts))


def table(counts: list[Count]) -> str:
    """The counts as a Markdown table."""
    return "\n".join(["| " + " | ".join(_COLUMNS) + " |", "|---" * len(_COLUMNS) + "|", *map(_row, counts)])


def _progress(findings: Path, count: Count) -> None:
    """Stores the findings so far, so that an interrupted run loses none."""
    _keep(count, findings)
    print(f"{count.target}: {count.inputs:,} inputs, {len(count.findings)} findings", file=sys.stderr, flush=True)


def _row(count: Count) -> str:
    cells = (
        count.target.removeprefix("target_"),
        f"{count.inputs:,}",
        f"{100 * count.covered:.0f} %",
        count.crashes,
        count.hangs,
        count.orphans,
        f"+{count.growth_mib:.0f} MiB",
        f"{count.seconds / 60:.1f} min",
        ", ".join(f"{became} {number:,}" for became, number in count.answers.most_common()),
    )
    return "| " + " | ".join(map(str, cells)) + " |"


def _keep(count: Count, folder: Path) -> None:
    for number, (where, data) in enumerate(count.findings.items(), start=1):
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{count.target}-{number}.bin"
        if not path.exists() or path.read_bytes() != data:
            path.write_bytes(data)
            print(f"{count.target}: {where}: {path}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
