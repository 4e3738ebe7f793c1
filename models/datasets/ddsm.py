"""What the tables of CBIS-DDSM say of a film and its abnormalities (Lee et al. 2017, 10.1038/sdata.2017.177).

No film states its spacing. The films are DDSM's (Heath et al. 2001), whose scanners are known by hospital, the letter
in a film's name there: B and C Lumisys, D Howtek, A either DBA or Howtek. Tables with a column ddsm_case
("case1906/A_1906_1.RIGHT_CC") name the hospital; TCIA's own tables do not.
"""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType

from models.anatomy.film import DIGITISERS_MM, FILM_MM
from models.datasets.case import DatasetError, Pathology

_PATHOLOGIES = MappingProxyType(
    {
        "MALIGNANT": Pathology.MALIGNANT,
        "BENIGN": Pathology.BENIGN,
        "BENIGN_WITHOUT_CALLBACK": Pathology.BENIGN,
    }
)
_SCANNERS = MappingProxyType({"B": "LUMISYS", "C": "LUMISYS", "D": "HOWTEK"})


def pathology_of(words: str, table: Path, name: str) -> Pathology:
    """The pathology of an abnormality; `table` and `name` are for the message.

    Raises:
        DatasetError: `words` are none of CBIS-DDSM's three.
    """
    if words not in _PATHOLOGIES:
        raise DatasetError(
            f"{table} gives {name} the pathology {words!r}, which is none of {', '.join(_PATHOLOGIES)}. "
            "Fetch the table as it was published."
        )
    return _PATHOLOGIES[words]


def hospital_of(ddsm_case: str) -> str:
    """The letter of the hospital, "A" to "D", of a film's name in DDSM; "" where the table has none."""
    return ddsm_case.rpartition("/")[2][:1].upper()


def film_spacing_mm(ddsm_case: str) -> float:
    """Millimetres per pixel of the scanned film; the middle of the scanners' where the hospital does not name one."""
    hospital = hospital_of(ddsm_case)
    return DIGITISERS_MM[_SCANNERS[hospital]] if hospital in _SCANNERS else FILM_MM
