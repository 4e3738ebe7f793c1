"""Moved to `models.evaluation.measures`; here until the last training imports it from there."""

from __future__ import annotations

from models.evaluation.measures import (
    Figure as Figure,
)
from models.evaluation.measures import (
    ImageResult as ImageResult,
)
from models.evaluation.measures import (
    auc as auc,
)
from models.evaluation.measures import (
    froc_score as froc_score,
)
from models.evaluation.measures import (
    iou as iou,
)
from models.evaluation.measures import (
    match as match,
)
from models.evaluation.measures import (
    sensitivity as sensitivity,
)
from models.evaluation.measures import (
    threshold as threshold,
)
from models.evaluation.measures import (
    with_interval as with_interval,
)
