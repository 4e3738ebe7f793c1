"""File descriptors decide how many associations there may be."""

from __future__ import annotations

import resource

import pytest

from node.operations.descriptors import associations_for, descriptors_for, hard_limit, raise_limit


def test_the_limit_is_raised_as_far_as_it_may_be() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 512), hard))
        assert raise_limit() == hard_limit() == resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("associations", [1, 32, 500])
def test_what_so_many_associations_need_gives_so_many(associations: int) -> None:
    assert associations_for(descriptors_for(associations)) == associations


def test_with_next_to_nothing_one_association_is_served_still() -> None:
    assert associations_for(64) == 1
