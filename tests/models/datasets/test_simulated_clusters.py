"""Simulated clusters are in real breasts without calcifications, the same on every machine, by patient."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from models.datasets.case import Case, DatasetError
from models.datasets.cdd_cesm import read_cdd_cesm, read_with_calcifications
from models.datasets.cdd_cesm_regions import names_calcifications
from models.datasets.simulated_clusters import PER_IMAGE, read_simulated_clusters
from models.types.reading import FindingKind


def test_only_native_breasts_without_calcifications_and_carcinomas_are_used(cesm_template: Path) -> None:
    used = {case.name.split("-")[0] for case in read_simulated_clusters(cesm_template).cases}
    fit = {case.name for case in read_cdd_cesm(cesm_template).cases if case.label_is_fair}
    assert used
    assert used < fit
    with_them = {case.name for case in read_with_calcifications(cesm_template)}
    assert with_them <= fit - used
    assert names_calcifications("Benign macrocalcification")
    assert not names_calcifications("Oval mass")


def test_each_image_is_listed_with_clusters_and_as_a_sham_for_the_same_patient(cesm_template: Path) -> None:
    cases = read_simulated_clusters(cesm_template).cases
    bases = {name: [case for case in cases if case.name.startswith(f"{name}-")] for name in ("IM0021", "IM0022")}
    for same in bases.values():
        assert [len(case.kinds) for case in same] == [1] * PER_IMAGE + [0]
        assert len({case.patients for case in same}) == 1


def test_all_that_is_made_from_a_breast_counts_as_one_patient_also_where_the_patient_is_not_known(cesm_template: Path):
    cases = read_simulated_clusters(cesm_template).cases
    unknown = [case for case in cases if len(case.patients) > 1]
    assert unknown
    for case in unknown:
        assert case.patient == f"simulated-clusters/{case.name.split('-')[0]}"


def _first_normal(folder: Path) -> Case:
    """The first cluster in IM0021, which is made large enough to hold one."""
    rows, columns = 1000, 700
    y, x = np.mgrid[:rows, :columns]
    inside = ((y - rows / 2) / (rows * 0.46)) ** 2 + (x / (columns * 0.85)) ** 2 < 1
    greys = np.random.default_rng(0).integers(70, 110, (rows, columns))
    cv2.imwrite(str(folder / "native-cc/images/IM0021.jpg"), np.where(inside, greys, 2).astype(np.uint8))
    return next(case for case in read_simulated_clusters(folder).cases if case.name == "IM0021-cluster-1")


def test_a_breast_too_small_for_any_cluster_is_named(cesm_template: Path) -> None:
    with pytest.raises(DatasetError, match=r"No cluster fits into the breast of IM\d+\."):
        read_simulated_clusters(cesm_template).cases[0].read()


def test_the_inserted_cluster_depends_only_on_the_name_of_the_image(cesm: Path) -> None:
    first, again = (_first_normal(cesm) for _ in range(2))
    image, same = first.read(), again.read()
    assert np.array_equal(image.pixels, same.pixels)
    (lesion,), (other,) = first.read_lesions(image), again.read_lesions(same)
    assert lesion.mask.box == other.mask.box
    assert (lesion.kind, lesion.outlined) == (FindingKind.CALCIFICATION, True)
