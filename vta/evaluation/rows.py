"""Lines of a table of results: means over clips and seeds, with intervals."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
  """One line of the table.

  Attributes:
    name: what was measured.
    unit: of the value.
    values: one per clip, the mean over generation seeds; NaN for a clip that
      could not be scored, and why it cannot is in the name's test.
    aim: the project's aim for the starter, None for a reference line.
  """

  name: str
  unit: str
  values: tuple[float, ...]
  aim: str | None = None

  @property
  def scored(self) -> np.ndarray:
    """The values that are there."""
    values = np.array(self.values)
    return values[np.isfinite(values)]

  @property
  def dropped(self) -> int:
    """How many clips could not be scored."""
    return len(self.values) - len(self.scored)

  @property
  def mean(self) -> float:
    return float(self.scored.mean()) if len(self.scored) else math.nan

  def interval(self) -> tuple[float, float]:
    """95 % bootstrap interval of the mean, over clips."""
    values = self.scored
    if not len(values):
      return math.nan, math.nan
    rng = np.random.default_rng(0)
    draws = rng.integers(len(values), size=(1000, len(values)))
    low, high = np.percentile(values[draws].mean(axis=1), [2.5, 97.5])
    return float(low), float(high)


def scored(score, truths: Sequence, waves: Sequence[Sequence]):
  """The mean of `score(truth, wave)` over each clip's waves (or pairs)."""
  return tuple(
    mean([score(one, wave) for wave in made])
    for one, made in zip(truths, waves, strict=True)
  )


def mean(values) -> float:
  """Of those that are finite; NaN where none is."""
  values = np.asarray(values, np.float64)
  values = values[np.isfinite(values)]
  return float(values.mean()) if len(values) else math.nan


def table(rows: Sequence[Row]) -> str:
  """The rows as a Markdown table."""
  lines = [
    "| measure | value | 95 % | aim | clips | dropped |",
    "|---|---|---|---|---|---|",
  ]
  for row in rows:
    low, high = row.interval()
    unit = f" {row.unit}" if row.unit else ""
    lines.append(
      f"| {row.name} | {row.mean:.3g}{unit} | {low:.3g} to {high:.3g} | "
      f"{row.aim or ''} | {len(row.scored)} | {row.dropped} |"
    )
  return "\n".join(lines)
