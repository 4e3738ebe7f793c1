"""File descriptors limit the number of associations."""

from __future__ import annotations

import resource

import pytest

from node.operations.descriptors import associations_for, descriptors_for, hard_limit, raise_limit


def test_the_descriptor_limit_is_raised_as_far_as_allowed() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 512), hard))
        assert raise_limit() == hard_limit() == resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("associations", [1, 32, 500])
def test_the_descriptors_for_a_number_of_associations_allow_that_number(associations: int) -> None:
    assert associations_for(descriptors_for(associations)) == associations


def test_with_very_few_descriptors_one_association_is_still_served() -> None:
    assert associations_for(64) == 1
