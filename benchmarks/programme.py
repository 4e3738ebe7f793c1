"""A screening programme of ten million studies a year, simulated: do so many readers keep up, and what if some fail?

    .venv/bin/python benchmarks/programme.py [--studies N] [--readers N] [--read-s S] [--days N] [--json]

Working days of a busy week (1.3 times the mean of 250; most studies arrive between 8 and 16 h), by a discrete-event
simulation (SimPy). Each study is received, waits for being complete, is read, reported and delivered; each step takes
one of the places that there are for it, in the order of arrival. The costs of a study are those that
docs/performance.md and `benchmarks/scale.py` measured, for four images together; `Costs` says what is assumed.

For each scenario: the seconds from the last image until the results are delivered, and the longest queue for a reader.
Networks, disks and other programs on the hosts are not in it.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import simpy
from rich.console import Console
from rich.table import Table

Steps = Generator[simpy.Event, Any, None]

HOUR_S, DAY_S = 3600.0, 86400.0
WORKING_DAYS, BUSY = 250, 1.3
OF_A_DAY = {
    6: 0.01,
    7: 0.05,
    8: 0.10,
    9: 0.12,
    10: 0.12,
    11: 0.11,
    12: 0.07,
    13: 0.09,
    14: 0.12,
    15: 0.11,
    16: 0.07,
    17: 0.03,
}
"""The share of a working day's studies that arrives in each hour: an assumption."""


@dataclass(frozen=True)
class Costs:
    """Seconds of a place for one study.

    Attributes:
        receive: of a core: four images at 0.1 CPU-seconds (docs/performance.md, "Receiving").
        quiet: until the study is complete; no place is taken.
        queue: of a connection: what the program waits for PostgreSQL (`benchmarks/scale.py`).
        read: of a core: a digital exam (docs/performance.md); of a GPU nothing is measured.
        report: of a core: encoding, checking, writing (docs/performance.md, "Writing the results").
        deliver: of a connection to the PACS: an assumption.
    """

    receive: float = 0.4
    quiet: float = 5.0
    queue: float = 0.2
    read: float = 20.0
    report: float = 1.0
    deliver: float = 1.0


@dataclass(frozen=True)
class Plan:
    """Places for each step."""

    receivers: int = 8
    connections: int = 32
    readers: int = 48
    reporters: int = 8
    deliveries: int = 8

    @property
    def places(self) -> Mapping[str, int]:
        return {
            "receive": self.receivers,
            "queue": self.connections,
            "read": self.readers,
            "report": self.reporters,
            "deliver": self.deliveries,
        }


@dataclass(frozen=True)
class Outage:
    """Some places of a step are lost for a while, as soon as they are free; `share`: of them, 0..1."""

    step: str
    share: float
    begins_s: float
    lasts_s: float


@dataclass
class Seen:
    """What was seen in a simulated time. `took_s`: of each study, from its last image to its delivery."""

    took_s: list[float] = field(default_factory=list)
    arrived: int = 0
    longest_queue: int = 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=float, default=10e6, help="a year")
    parser.add_argument("--readers", type=int, default=Plan.readers, help="cores, or GPUs, that read")
    parser.add_argument("--read-s", type=float, default=Costs.read, help="that one of them needs for a study")
    parser.add_argument("--days", type=int, default=2, help="simulated working days; what fails, fails on the last")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    plan, costs = replace(Plan(), readers=arguments.readers), replace(Costs(), read=arguments.read_s)
    days, day, nine = arguments.days, (arguments.days - 1) * DAY_S, 9 * HOUR_S
    scenarios: dict[str, tuple[Plan, tuple[Outage, ...]]] = {
        "all is well": (plan, ()),
        "a quarter of the readers lost, 9-17 h": (plan, (Outage("read", 0.25, day + nine, 8 * HOUR_S),)),
        "half of the readers lost, 9-17 h": (plan, (Outage("read", 0.5, day + nine, 8 * HOUR_S),)),
        "database away for 10 min at 9 h": (plan, (Outage("queue", 1, day + nine, 600),)),
        "PACS away, 9-13 h": (plan, (Outage("deliver", 1, day + nine, 4 * HOUR_S),)),
        "half of the readers every day": (replace(plan, readers=plan.readers // 2), ()),
    }
    found = {
        name: figures(simulated(arguments.studies, days, scenario, costs, outages))
        for name, (scenario, outages) in scenarios.items()
    }
    if arguments.json:
        print(json.dumps(found, indent=2))
        return
    table = Table(title=f"{arguments.studies:,.0f} studies a year, {plan.readers} readers of {costs.read:g} s a study")
    for heading in ("", *next(iter(found.values()))):
        table.add_column(heading, justify="right" if table.columns else "left")
    for name, row in found.items():
        table.add_row(name, *(f"{value:,.0f}" for value in row.values()))
    Console().print(table)


def figures(seen: Seen) -> dict[str, float]:
    half, most, nearly_all = np.percentile(seen.took_s, [50, 95, 99])
    return {
        "studies": seen.arrived,
        "left": seen.arrived - len(seen.took_s),
        "median": half,
        "95 %": most,
        "99 %": nearly_all,
        "longest": max(seen.took_s),
        "queue": seen.longest_queue,
    }


def simulated(
    studies: float, days: int, plan: Plan, costs: Costs, outages: tuple[Outage, ...] = (), seed: int = 1
) -> Seen:
    """A busy week's working days, and the night after the last."""
    world, draw, seen = simpy.Environment(), random.Random(seed), Seen()
    places = {step: simpy.Resource(world, count) for step, count in plan.places.items()}
    world.process(arrivals(world, places, costs, draw, studies / WORKING_DAYS * BUSY, days, seen))
    for outage in outages:
        for _ in range(round(outage.share * places[outage.step].capacity)):
            world.process(lost(world, places[outage.step], outage))
    world.run(until=days * DAY_S)
    return seen


def arrivals(
    world: simpy.Environment, places: Mapping[str, simpy.Resource], costs: Costs, draw: random.Random,
    of_a_day: float, days: int, seen: Seen,
) -> Steps:  # fmt: skip
    """Studies at random times, with the rate of the hour."""
    for day in range(days):
        for hour, share in OF_A_DAY.items():
            begins, ends = day * DAY_S + hour * HOUR_S, day * DAY_S + (hour + 1) * HOUR_S
            yield world.timeout(max(0.0, begins - world.now))
            while world.now < ends:
                yield world.timeout(draw.expovariate(of_a_day * share / HOUR_S))
                seen.arrived += 1
                world.process(study(world, places, costs, seen))


def study(world: simpy.Environment, places: Mapping[str, simpy.Resource], costs: Costs, seen: Seen) -> Steps:
    """One study's road, from its last image on."""
    came = world.now
    for step, cost in (("receive", costs.receive), ("queue", costs.queue)):
        yield from taking(world, places[step], cost)
    yield world.timeout(costs.quiet)
    seen.longest_queue = max(seen.longest_queue, len(places["read"].queue))
    for step, cost in (("read", costs.read), ("report", costs.report), ("deliver", costs.deliver)):
        yield from taking(world, places[step], cost)
    seen.took_s.append(world.now - came)


def taking(world: simpy.Environment, place: simpy.Resource, cost_s: float) -> Steps:
    with place.request() as turn:
        yield turn
        yield world.timeout(cost_s)


def lost(world: simpy.Environment, place: simpy.Resource, outage: Outage) -> Steps:
    yield world.timeout(outage.begins_s)
    yield from taking(world, place, outage.lasts_s)


if __name__ == "__main__":
    main()
