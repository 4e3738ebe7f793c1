"""The rows of a table that a CPU can train are comparable: equal steps for every row, and nothing is chosen."""

from __future__ import annotations

import pytest

from models.training.ablation import any_recipe
from models.training.recipe import shipped_recipes

REDUCED = [name for name in shipped_recipes() if name.startswith("reduced-")]


@pytest.mark.parametrize("kind", ["classifier", "detector", "segmenter"])
def test_the_reduced_rows_of_a_table_have_equal_steps_and_use_their_last_epoch(kind: str) -> None:
    rows = [recipe for name in REDUCED if (recipe := any_recipe(name)).kind == kind]
    assert len(rows) > 3
    assert len({(row.fit.epochs, row.task.batch, row.fit.seed) for row in rows}) == 1
    assert all(row.fit.validate_every == row.fit.epochs for row in rows)


@pytest.mark.parametrize("name", REDUCED)
def test_a_reduced_recipe_reduces_a_recipe_of_the_paper(name: str) -> None:
    reduced, whole = any_recipe(name), [other for other in shipped_recipes() if other not in REDUCED]
    names = (name.removeprefix("reduced-"), f"{name.removeprefix('reduced-')}-vit-l")
    (papers,) = [any_recipe(other) for other in whole if other in names]
    assert reduced.kind == papers.kind
    assert reduced.fit.epochs < papers.fit.epochs
