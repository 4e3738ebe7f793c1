"""What `make bench` compares: the benchmarks' own figures, with the stored ones of benchmarks/baseline.json."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import all as everything
import latency
import pytest
import reading
import receive

PERFORMANCE = Path(everything.__file__).parents[1] / "docs" / "performance.md"
BASELINE = json.loads((Path(everything.__file__).parent / "baseline.json").read_text())


@pytest.fixture
def measured() -> dict[str, Any]:
    """What each benchmark prints with --json, made by its own functions, of invented times."""
    loads = receive.loads_of(quick=True)
    received = [
        receive.Measured(receiver, load.name, (1.0,), 27.0, speed, 100.0)
        for load in loads
        for receiver, speed in (("node", 6.0), ("storescp", 2.0))
    ]
    image = {"seconds": dict.fromkeys(reading.STAGES, 1.0), "findings": []}
    old, new = (
        reading.per_exam(
            {"cpu": cpu, "loaded_cpu": loaded, "ended_wall": 9.0, "loaded_wall": 1.0, "peak_mb": 1.0}, [image], 1
        )
        for cpu, loaded in ((70.0, 10.0), (25.0, 5.0))
    )
    return {
        "receive": {"ratios": {load.name: receive.ratios_of(received, load) for load in loads}},
        "reading": {"median": {"old": old, "new": new}},
        "latency": {"median": {"total": 8.0, **dict.fromkeys((*latency.STEPS, *latency.READING), 1.0)}},
        "idle": {studies: {"claim of images, ms": cost, "main process, % of a core": 9.0} for studies, cost in
                 (("100", 1.0), ("2000", 2.0))},
    }  # fmt: skip


def test_the_stored_ratios_are_those_that_the_benchmarks_give(measured: dict[str, Any]):
    assert everything.QUICK.keys() == measured.keys()
    assert everything.ratios_of(measured).keys() == BASELINE["ratios"].keys()
    assert 0 < BASELINE["tolerance"] < 1


def test_a_ratio_is_better_the_larger_it_is(measured: dict[str, Any]):
    ratios = everything.ratios_of(measured)
    assert [value for name, value in ratios.items() if "storescp" in name] == [3.0] * 4
    assert [value for name, value in ratios.items() if "CPU-seconds" in name] == [3.0, 2.0]
    assert [value for name, value in ratios.items() if "last image" in name or "idle" in name] == [0.5, 0.5]


def test_only_a_fall_by_more_than_the_tolerance_is_worse():
    stored = {"a": 2.0, "b": 2.0, "gone": 1.0}
    assert everything.worse({"a": 1.5, "b": 1.3, "new": 0.1}, stored, 0.3) == ["b"]


def test_the_documented_run_on_a_quiet_machine_is_the_baseline_and_is_not_worse_than_it():
    """A baseline of a busy machine fails every run on a quiet one: the ratios differ by up to four times."""
    rows = re.findall(r"^\| (.+?) \| ([\d.]+) \| [\d.]+ \|$", PERFORMANCE.read_text(), re.MULTILINE)
    documented = {name: float(quiet) for name, quiet in rows if name in BASELINE["ratios"]}
    assert documented == BASELINE["ratios"]
    assert everything.worse(documented, BASELINE["ratios"], BASELINE["tolerance"]) == []
    assert BASELINE["load_average"] < BASELINE["cores"]
