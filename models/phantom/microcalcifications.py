"""Clusters of microcalcifications to be put into real breasts: grains with a size, a shape and a place in millimetres.

A grain is a few capsules of calcium salts: one of no length is a ball (punctate), several side by side are an irregular
body (fine pleomorphic), long thin ones with a fork are a cast of a duct (fine linear branching). What is drawn, and
from where the numbers are:

- Words: ACR BI-RADS Atlas, fifth edition (2013). Grains of malignant clusters are mostly smaller than 0.5 mm, fine
  linear ones thinner than that; a group has at least five grains within 1 cm and reaches up to 2 cm; a segment is a
  wedge that points at the nipple.
- Sizes: 0.1 to 1 mm, 0.3 mm on average (Cheng et al., Pattern Recognit 36:2967, 2003, a survey).
- Simulated grains by BI-RADS' words, in real mammograms, were read as real by radiologists before: Kallergi et al.
  (Acad Radiol 5:670, 1998), Näppi et al. (Comput Methods Programs Biomed 66:115, 2001), Shaheen et al. (Med Phys
  38:6659, 2011). The smallest that readers still find, in tomosynthesis, measure 0.17 to 0.24 mm (Houbrechts et al.,
  Med Phys 2025, PMC12149725); VICTRE's clusters are five grains of about 0.2 mm (Badano et al., JAMA Netw Open
  1:e185474, 2018).
- How dense a cluster is: from BI-RADS' five within 1 cm upwards, to some 50 per cm², as in the clusters seen with
  carcinomas in CDD-CESM's native images, which were looked at beside these.
- Attenuation: from half of hydroxyapatite's, for salts with tissue between them, to about solid hydroxyapatite's at
  20 keV (2.1 per mm: NIST's coefficients by weight of its elements, at 3.2 g/cm³).

The distributions of this module were committed before a detector was trained on them. Do not tune them to its results.
The contrast in units of the noise (`models.phantom.insertion`) was defined anew twice since then, the second time after
the sensitivity on the test patients had been seen (0.45; docs/phantoms.md): test figures of simulated clusters are not
held out in the strict sense.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Morphology = Literal["punctate", "fine pleomorphic", "fine linear branching"]
Distribution = Literal["grouped", "segmental"]

_MORPHOLOGIES: tuple[tuple[Morphology, float], ...] = (
    ("punctate", 0.30),
    ("fine pleomorphic", 0.45),
    ("fine linear branching", 0.25),
)
"""With how often each is drawn."""
_SEGMENTAL = 0.35
"""Share of clusters that lie along a segment."""
_FEWEST, _MOST, _MEAN = 5, 40, 14
"""Grains in a cluster: at least five, as BI-RADS has a group, geometric from there."""
_PER_CM2 = (8.0, 50.0)
"""Grains per square centimetre."""
_MEDIAN_MM, _SPREAD = 0.30, 0.40
"""Of a grain's diameter: log-normal, its spread in natural logarithms."""
_SMALLEST_MM, _LARGEST_MM = 0.10, 1.0
_LINEAR_WIDTH_MM, _LINEAR_LENGTH_MM = (0.10, 0.20), (0.4, 1.0)
_FORKED = 0.5
"""Share of linear grains with a branch."""
_ATTENUATION_PER_MM = (1.0, 2.1)
_WEDGE = 0.35
"""Half the width of a segment at its wide end, of its length."""


@dataclass(frozen=True, eq=False)
class Grain:
    """A grain: capsules in the plane of the image, in mm from the cluster's centre, x to the right and y downwards.

    Attributes:
        starts, ends: n × 2, the ends of each capsule's middle line; equal for a ball.
        widths: n, the diameter of each.
    """

    starts: NDArray[np.float64]
    ends: NDArray[np.float64]
    widths: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class GrainCluster:
    """A cluster around its centre.

    Attributes:
        attenuation_per_mm: of its grains.
        reach_mm: no part of it is farther from its centre.
    """

    morphology: Morphology
    distribution: Distribution
    attenuation_per_mm: float
    grains: tuple[Grain, ...]

    @property
    def reach_mm(self) -> float:
        return max(
            float(np.linalg.norm(np.concatenate((grain.starts, grain.ends)), axis=1).max() + grain.widths.max())
            for grain in self.grains
        )


def draw_grain_cluster(draw: np.random.Generator) -> GrainCluster:
    """A cluster by the distributions of this module; every number comes from `draw`."""
    names, shares = zip(*_MORPHOLOGIES, strict=True)
    morphology: Morphology = names[int(draw.choice(len(names), p=shares))]
    distribution: Distribution = "segmental" if draw.random() < _SEGMENTAL else "grouped"
    count = min(_MOST, _FEWEST - 1 + int(draw.geometric(1 / (_MEAN - _FEWEST + 1))))
    area_mm2 = 100 * count / draw.uniform(*_PER_CM2)
    turn = draw.uniform(0, 2 * np.pi)
    places = _segment(count, area_mm2, draw) if distribution == "segmental" else _group(count, area_mm2, draw)
    places = places @ _turned(turn).T
    # Linear grains lie along the ducts, which run along the segment.
    along = turn if distribution == "segmental" else None
    grains = tuple(_grain(morphology, place, along, draw) for place in places)
    return GrainCluster(morphology, distribution, float(draw.uniform(*_ATTENUATION_PER_MM)), grains)


def _group(count: int, area_mm2: float, draw: np.random.Generator) -> NDArray[np.float64]:
    """Even over an ellipse."""
    radius, flat = np.sqrt(area_mm2 / np.pi), draw.uniform(0.6, 1.0)
    angles, out = draw.uniform(0, 2 * np.pi, count), np.sqrt(draw.random(count))
    ellipse = np.column_stack((np.cos(angles) / np.sqrt(flat), np.sin(angles) * np.sqrt(flat)))
    return np.asarray(ellipse * (radius * out)[:, None])


def _segment(count: int, area_mm2: float, draw: np.random.Generator) -> NDArray[np.float64]:
    """Even over a wedge along x, its tip at the left."""
    length = np.sqrt(area_mm2 / _WEDGE)
    along = np.sqrt(draw.random(count))
    across = draw.uniform(-1, 1, count) * along * _WEDGE
    return np.asarray(np.column_stack((along - 2 / 3, across)) * length)


def _grain(morphology: Morphology, place: NDArray[np.float64], along: float | None, draw: np.random.Generator) -> Grain:
    width = float(np.clip(draw.lognormal(np.log(_MEDIAN_MM), _SPREAD), _SMALLEST_MM, _LARGEST_MM))
    match morphology:
        case "punctate":
            return Grain(place[None], place[None], np.array([width]))
        case "fine pleomorphic":
            parts = int(draw.integers(2, 5))
            offsets = draw.normal(0, 0.3 * width, (parts, 2))
            tips = offsets + draw.normal(0, 0.25 * width, (parts, 2))
            return Grain(place + offsets, place + tips, width * draw.uniform(0.4, 0.8, parts))
        case "fine linear branching":
            return _linear(place, draw.uniform(0, np.pi) if along is None else along + draw.normal(0, 0.35), draw)


def _linear(place: NDArray[np.float64], angle: float, draw: np.random.Generator) -> Grain:
    width, length = draw.uniform(*_LINEAR_WIDTH_MM), draw.uniform(*_LINEAR_LENGTH_MM)
    middle = place + draw.normal(0, 0.06, 2)
    step = length / 2 * np.array((np.cos(angle), np.sin(angle)))
    starts, ends = [place - step, middle], [middle, place + step]
    if draw.random() < _FORKED:
        fork = angle + draw.choice((-1, 1)) * draw.uniform(0.4, 0.9)
        starts.append(middle)
        ends.append(middle + draw.uniform(0.25, 0.5) * length * np.array((np.cos(fork), np.sin(fork))))
    return Grain(np.array(starts), np.array(ends), width * draw.uniform(0.8, 1.0, len(starts)))


def _turned(angle: float) -> NDArray[np.float64]:
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
