"""The ground truth of a phantom study: the format of its truth.json.

{
  "format": 1,
  "patient": "PHANTOM-7-0001",        Patient ID of the images
  "seed": 7, "number": 1, "spacing_mm": 0.1,
  "birads": "5", "density": "C",      of the exam: the more suspicious breast's category; ACR density
  "breasts": [
    {"laterality": "R", "pathology": "malignant", "birads": "5"}, …
  ],
  "images": [
    {
      "file": "studies/PHANTOM-7-0001/RCC.dcm",          from the folder that holds the whole set
      "segmentation": "truth/PHANTOM-7-0001/RCC-SEG.dcm", null where the image has no lesion
      "laterality": "R", "view": "CC", "rows": 2400, "columns": 1800,
      "lesions": [
        {
          "number": 1,                 within its breast: the same lesion has the same number in CC and MLO
          "label": "R CC mass 1",      Segment Label
          "segment": 1,                Segment Number
          "kind": "mass", "malignant": true, "subtype": "irregular spiculated", "birads": "5",
          "box": [1004, 612, 1130, 745],       top, left, bottom, right in pixels, half-open
          "area_px": 9120, "area_mm2": 91.2,
          "behind_nipple_mm": 41.5
        }
      ]
    }, …
  ]
}
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from models.datasets.case import Pathology
from models.phantom.lesions import PhantomCategory
from models.phantom.tissue import Density
from models.types.mammogram import Laterality
from models.types.reading import FindingKind

NAME = "truth.json"

RelativePath = Annotated[str, Field(pattern=r"^[A-Za-z0-9-]+(/[A-Za-z0-9-]+)*\.dcm$")]
"""A file below the set's folder; the pattern allows no path outside it."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TrueLesion(_Part):
    number: int = Field(ge=1)
    label: str
    segment: int = Field(ge=1)
    kind: FindingKind
    malignant: bool
    subtype: str
    birads: PhantomCategory
    box: tuple[int, int, int, int]
    area_px: int = Field(ge=1)
    area_mm2: float = Field(gt=0)
    behind_nipple_mm: float


class TrueImage(_Part):
    file: RelativePath
    segmentation: RelativePath | None
    laterality: Laterality
    view: str
    rows: int = Field(ge=1)
    columns: int = Field(ge=1)
    lesions: tuple[TrueLesion, ...]


class TrueBreast(_Part):
    laterality: Laterality
    pathology: Pathology
    birads: PhantomCategory


class StudyTruth(_Part):
    """See the module's docstring for each field."""

    format: Literal[1] = 1
    patient: str
    seed: int
    number: int = Field(ge=1)
    spacing_mm: float = Field(gt=0)
    birads: PhantomCategory
    density: Density
    breasts: tuple[TrueBreast, ...]
    images: tuple[TrueImage, ...]
