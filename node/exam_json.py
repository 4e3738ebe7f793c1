"""`reading.json`: what was read in a study, for programs."""

from __future__ import annotations

from dataclasses import asdict

from models.reading_json import to_json
from models.types import JOINING_RULE, ExamReading

RESEARCH_USE_ONLY = "Research use only, not for diagnosis."


def exam_to_json(exam: ExamReading, study_instance_uid: str) -> dict[str, object]:
    """An exam for `json.dumps`. Boxes are [top, left, bottom, right] in pixels.

    "malignancy" is a score, 0..1 and no probability; "likelihood" the probability that it is worth at the prevalence
    the node is set to, and the BI-RADS category whose likelihood range holds that, which is no assessment; null where
    the bundle does not say. Above "recall_threshold" a probability is a recall.
    """
    return {
        "intended_use": RESEARCH_USE_ONLY,
        "study_instance_uid": study_instance_uid,
        "malignancy": exam.malignancy,
        "joining_rule": JOINING_RULE,
        "likelihood": exam.likelihood and asdict(exam.likelihood),
        "recall_threshold": exam.recall_threshold,
        "breasts": [asdict(breast) for breast in exam.breasts],
        "ties": [asdict(tie) for tie in exam.ties],
        "locations": [{**asdict(finding), **asdict(place)} for finding, place in exam.locations.items()],
        "images": [
            {
                "sop_instance_uid": image.sop_instance_uid,
                "laterality": image.laterality and str(image.laterality),
                "view": image.view,
                **to_json(image.reading),
            }
            for image in exam.images
        ],
        "not_read": [
            {"sop_instance_uid": one.sop_instance_uid, "what": one.what, "reason": one.reason} for one in exam.unread
        ],
        "missing_views": list(exam.missing),
        "warnings": list(exam.warnings),
    }
