"""What a detector found, and the signals that are made of it."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator

import numpy as np
from jaxtyping import Bool, Float

from vta.signals import masks as masks_lib
from vta.signals import objects as objects_lib


@dataclasses.dataclass(frozen=True, kw_only=True)
class Detections:
  """How probably each label is in each frame, and where.

  Attributes:
    times: of the frames, s, strictly increasing.
    labels: what was looked for, each once.
    probability: 0 where a label was not found.
    boxes: left, top, right, bottom as fractions of the frame, NaN where a label
      was not found; None from a detector that does not say where.
  """

  times: Float[np.ndarray, "f"]
  labels: tuple[str, ...]
  probability: Float[np.ndarray, "f k"]
  boxes: Float[np.ndarray, "f k 4"] | None = None

  def objects(self) -> objects_lib.Objects:
    """VTA-SAM's p_{t,k} (papers.md 4.1)."""
    return objects_lib.Objects(
      labels=self.labels, times=self.times, probability=self.probability
    )

  def masks(
    self, start: float | int, end: float | int
  ) -> masks_lib.Masks | None:
    """Draw an Audio's automatic boxes (papers.md 1.2), on each label found.

    A region for every run of frames that show a label, its box at each; it
    reaches halfway to the frames that do not.

    Args:
      start: of the stretch that the frames are of, s.
      end: its end, s.

    Returns:
      None where there is no box at all: nothing of the picture is something
      else than not knowing where.
    """
    if self.boxes is None:
      return None
    middles = (self.times[1:] + self.times[:-1]) / 2
    edges = [start, *middles.tolist(), end]
    regions = []
    for k, label in enumerate(self.labels):
      found = ~np.isnan(self.boxes[:, k, 0])
      for first, last in _runs(found):
        regions.append(
          masks_lib.Box(
            times=self.times[first:last],
            corners=self.boxes[first:last, k],
            span=(float(edges[first]), float(edges[last])),
            label=label,
          )
        )
    return masks_lib.Masks(regions=tuple(regions)) if regions else None

  def pan(self) -> float | None:
    """From -1, the left edge, to 1: the boxes' mean middle (ours).

    Every box weighs as much as it is probable. None without a box.
    """
    if self.boxes is None:
      return None
    middles = (self.boxes[..., 0] + self.boxes[..., 2]) / 2
    found = ~np.isnan(middles)
    if not found.any():
      return None
    mean = np.average(middles[found], weights=self.probability[found])
    return float(np.clip(2 * mean - 1, -1.0, 1.0))


def _runs(found: Bool[np.ndarray, "f"]) -> Iterator[tuple[int, int]]:
  """First index of each run of True, and the index after its last."""
  for there, run in itertools.groupby(range(len(found)), lambda i: found[i]):
    if there:
      indices = list(run)
      yield indices[0], indices[-1] + 1
