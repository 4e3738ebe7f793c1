"""`make fuzz`: feeds every target for long and prints what came of it.

    python tests/fuzz/run.py [--inputs 50000] [--seed 0] [--findings FOLDER] [TARGET ...]

An input that crashed or hung its target is kept in the findings' folder, one for each place in the code.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from harness import HANGS_AFTER_S, TARGETS, Count, fuzz  # noqa: E402

_HANGS = f"hangs > {HANGS_AFTER_S:.0f} s"
_COLUMNS = ("target", "inputs", "coverage", "crashes", _HANGS, "files without a row", "memory", "time")


def main() -> int:
    asked = argparse.ArgumentParser(description="Feeds the node's readers with damaged inputs.")
    asked.add_argument("targets", nargs="*", default=TARGETS, choices=[*TARGETS, []], metavar="TARGET")
    asked.add_argument("--inputs", type=int, default=50_000, help="for each target (default: %(default)s)")
    asked.add_argument("--seed", type=int, default=0, help="another one gives other inputs (default: %(default)s)")
    asked.add_argument("--findings", type=Path, default=ROOT / "artefacts" / "fuzz")
    options = asked.parse_args()
    counts = []
    for target in options.targets:
        with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
            counts.append(fuzz(target, options.inputs, Path(folder), options.seed))
        _keep(counts[-1], options.findings)
        print(_row(counts[-1]), flush=True)
    print(table(counts))
    return int(any(count.crashes or count.hangs or count.orphans for count in counts))


def table(counts: list[Count]) -> str:
    """The counts as a Markdown table."""
    return "\n".join(["| " + " | ".join(_COLUMNS) + " |", "|---" * len(_COLUMNS) + "|", *map(_row, counts)])


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
    )
    return "| " + " | ".join(map(str, cells)) + " |"


def _keep(count: Count, folder: Path) -> None:
    for number, (where, data) in enumerate(count.findings.items(), start=1):
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{count.target}-{number}.bin"
        path.write_bytes(data)
        print(f"{count.target}: {where}: {path}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
