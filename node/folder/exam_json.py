"""`reading.json`: the readings of a study, for programs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from dicom_io.results.own_codes import range_of
from models.readings.reading_json import to_json
from models.types.birads import Likelihood
from models.types.exam import JOINING_RULE, ExamReading
from models.types.mammogram import Laterality
from models.types.reading import ImageReading
from models.types.words import RESEARCH_USE_ONLY


def exam_to_json(exam: ExamReading, study_instance_uid: str) -> dict[str, object]:
    """An exam for `json.dumps`. Boxes are [top, left, bottom, right] in pixels.

    "malignancy" is a score, 0..1 and no probability; "likelihood" its calibrated probability at the
    configured prevalence, null if the bundle is not calibrated. For breasts and the exam it also says whether it is
    above "recall_threshold", and the BI-RADS category whose likelihood range contains it, which is no assessment; it is
    null too if nothing negative is stated, and "withheld" says why. Images and lesions have no category.
    """
    return {
        "intended_use": RESEARCH_USE_ONLY,
        "study_instance_uid": study_instance_uid,
        "malignancy": exam.malignancy,
        "joining_rule": JOINING_RULE,
        "likelihood": _decided(exam.likelihood, None, exam.recall_threshold),
        "withheld": {"exam" if side is None else str(side): why for side, why in exam.withheld.items()},
        "recall_threshold": exam.recall_threshold,
        **tenth_to_json(exam),
        "breasts": [
            {
                "laterality": str(breast.laterality),
                "malignancy": breast.malignancy,
                "likelihood": _decided(breast.likelihood, breast.laterality, exam.recall_threshold),
            }
            for breast in exam.breasts
        ],
        "ties": [asdict(tie) for tie in exam.ties],
        "locations": [{**asdict(finding), **asdict(place)} for finding, place in exam.locations.items()],
        "images": [
            {
                "sop_instance_uid": image.sop_instance_uid,
                "laterality": image.laterality and str(image.laterality),
                "view": image.view,
                **_of_image(image.reading),
            }
            for image in exam.images
        ],
        "not_read": [
            {
                "sop_instance_uid": image.sop_instance_uid,
                "laterality": image.laterality and str(image.laterality),
                "view": image.view,
                "what": image.what,
                "reason": image.reason,
            }
            for image in exam.unread
        ],
        "missing_views": list(exam.missing),
        "warnings": list(exam.warnings),
    }


def tenth_to_json(exam: ExamReading) -> dict[str, object]:
    """The entry for the tenth of the reference set; none without such a set. Its "tenth" is null if the exam does not
    compare, "why" says so then."""
    if exam.tenth is None:
        return {}
    tenth, of = exam.tenth, exam.tenth.of
    return {
        "reference_tenth": {
            "tenth": tenth.tenth,
            "is": tenth.name,
            "why": tenth.why,
            "reference_set": {"name": of.name, "exams": of.exams, "screening": of.is_screening},
        }
    }


def _decided(
    likelihood: Likelihood | None, side: Laterality | None, recall_threshold: float
) -> dict[str, object] | None:
    if likelihood is None:
        return None
    return {
        "probability": likelihood.probability,
        "above_recall_threshold": likelihood.is_recalled(recall_threshold),
        "category_range": range_of(likelihood.category, side).meaning,
    }


def _of_image(reading: ImageReading) -> dict[str, object]:
    """The likelihood of an image, without the fields that only breasts and the exam have."""
    values: dict[str, Any] = to_json(reading)
    findings = [{**finding, "likelihood": _probability(finding["likelihood"])} for finding in values["findings"]]
    values |= {"likelihood": _probability(values["likelihood"]), "findings": findings}
    return {name: value for name, value in values.items() if name not in ("as_breast", "as_exam")}


def _probability(likelihood: Mapping[str, object] | None) -> dict[str, object] | None:
    return {"probability": likelihood["probability"]} if likelihood else None
