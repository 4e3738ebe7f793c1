"""The figures of a training that are stored in its bundle."""

from __future__ import annotations

from dataclasses import replace

import pytest
from observations import many

from models.training.held_out_figures import figures_of

pytestmark = pytest.mark.slow


def test_the_counts_are_of_the_figures_that_could_be_measured() -> None:
    """A classifier whose image score depends on findings has figures of lesions alone while it is trained."""
    seen = many()
    figures, missing = figures_of("classifier", [replace(observation, score=None) for observation in seen])
    assert "lesion AUC" in figures
    assert "image AUC" not in figures
    assert any("image AUC" in sentence for sentence in missing)
    lesions = [image for image in seen if image.lesions]
    assert figures["lesion: images"] == len(lesions)
    assert figures["lesion: patients"] == len({image.patient for image in lesions})


def test_each_level_of_a_classifier_has_its_own_counts() -> None:
    seen = many()
    figures, _ = figures_of("classifier", seen)
    assert figures["image: images"] == len(seen)
    assert figures["lesion: images"] == len([image for image in seen if image.lesions])
    assert "patients" not in figures
