"""How many actors a node wants on a cluster, and when one too many is ended."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.ray import Ray
from node.reader.cluster.connection import ClusterHost
from node.reader.cluster.remote import MachineFailures
from node.reader.cluster.scale import IDLE_S, Surplus, wanted_actors


@pytest.mark.parametrize(
    ("settings", "room", "images", "wanted"),
    [
        (Ray(), 8, 0, 1),  # min_actors are there even if nothing waits
        (Ray(), 8, 17, 2),
        (Ray(), 8, 16, 1),
        (Ray(), 8, 10_000, 8),  # no more than the cluster has room for
        (Ray(min_actors=2, max_actors=4), 8, 10_000, 4),
        (Ray(min_actors=2, max_actors=4), 8, 0, 2),
        (Ray(min_actors=4), 3, 0, 3),
        (Ray(), 0, 100, 0),
    ],
)
def test_there_are_as_many_actors_as_waiting_batches_within_the_settings_and_the_room(
    settings: Ray, room: int, images: int, wanted: int
) -> None:
    assert wanted_actors(settings, room, images, batch=16) == wanted


@pytest.mark.parametrize(
    ("gpus_per_actor", "host", "room"),
    [
        (1, ClusterHost("a", cpus=16, gpus=2), 2),
        (0.5, ClusterHost("a", cpus=16, gpus=2), 4),
        (0.3, ClusterHost("a", cpus=16, gpus=2), 6),  # never shares of two GPUs
        (2, ClusterHost("a", cpus=16, gpus=3), 1),
        (1, ClusterHost("a", cpus=1, gpus=4), 1),
        (1, ClusterHost("the node's own", cpus=0, gpus=0), 0),
        (0, ClusterHost("a", cpus=6, gpus=0), 6),
    ],
)
def test_a_machine_has_room_for_whole_actors(gpus_per_actor: float, host: ClusterHost, room: int) -> None:
    assert host.room(Ray(gpus_per_actor=gpus_per_actor)) == room


def test_an_actor_is_ended_only_when_it_was_not_needed_for_a_while_without_a_break() -> None:
    surplus = Surplus().seen(3, 2, 0.0).seen(3, 2, IDLE_S - 1)
    assert not surplus.is_over(IDLE_S - 1)
    assert surplus.is_over(IDLE_S)
    assert not surplus.seen(3, 3, IDLE_S).seen(3, 2, IDLE_S + 1).is_over(2 * IDLE_S)


def test_a_failed_gpu_or_machine_blames_an_image_only_at_the_second_time() -> None:
    failures = MachineFailures()
    assert not failures.blames([Path("a"), Path("b")])
    assert not failures.blames([Path("c")])
    assert failures.blames([Path("b"), Path("d")])
    failures.answered([Path("a"), Path("b")])
    assert not failures.blames([Path("a"), Path("b")]), "they have been read meanwhile"


def test_only_the_last_ten_thousand_images_of_failures_are_remembered() -> None:
    failures = MachineFailures()
    for number in range(10_001):
        failures.blames([Path(str(number))])
    assert not failures.blames([Path("0")])
    assert failures.blames([Path("10000")])
