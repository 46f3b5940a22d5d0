"""Objects: how probably each labelled thing is in the picture, over time.

VTA-SAM's control (papers.md 4.1): the p_{t,k} of a grounding detector for the
nouns of the prompt; what networks make of them (the labels' embeddings,
weighted) is a conditioner's business. A label's probability cut at 0.5 is
Smooth-Foley's timestamp condition (papers.md 5.1).
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from vta.errors import InputError
from vta.signals import document, timing
from vta.signals import events as events_lib


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Objects:
  """Label probabilities at time stamps, linear between them, held beyond.

  Every edit returns a new object.

  Attributes:
    labels: what may be seen, each once.
    times: stamps, s, strictly increasing.
    probability: 0 (not in the picture) to 1, per stamp and label; a label of 0
      throughout is muted, whatever the picture shows.
  """

  labels: tuple[str, ...]
  times: Float[np.ndarray, "f"]
  probability: Float[np.ndarray, "f k"]

  def __post_init__(self):
    timing.check_increasing(self.times)
    if len(set(self.labels)) != len(self.labels):
      raise ValueError(f"a label is given twice: {self.labels}")
    if self.probability.shape != (len(self.times), len(self.labels)):
      raise ValueError(
        f"{len(self.times)} times and {len(self.labels)} labels, "
        f"probability {self.probability.shape}"
      )

  def __eq__(self, other: object) -> bool:
    return (
      isinstance(other, Objects)
      and self.labels == other.labels
      and np.array_equal(self.times, other.times)
      and np.array_equal(self.probability, other.probability)
    )

  def resample(self, times: Float[np.ndarray, "m"]) -> Objects:
    """The same curves at other stamps."""
    probability = timing.interpolate(self.probability, self.times, times)
    return dataclasses.replace(self, times=times, probability=probability)

  def crop(self, start: float | int, end: float | int) -> Objects:
    """What lies between two times, on a time axis that begins at `start`."""
    part = self.resample(timing.knots(self.times, start, end))
    return dataclasses.replace(part, times=part.times - start)

  def shift(self, seconds: float | int, *, duration: float | int) -> Objects:
    """Later (or, if negative, earlier) by `seconds`, within 0..duration."""
    moved = dataclasses.replace(self, times=self.times + seconds)
    return moved.crop(0.0, duration)

  def stretch(self, factor: float | int) -> Objects:
    """The same curves, `factor` times as long."""
    return dataclasses.replace(self, times=self.times * factor)

  def merge(self, other: Objects) -> Objects:
    """All labels of either; a label of both takes the higher probability."""
    labels = tuple(dict.fromkeys(self.labels + other.labels))
    times = np.union1d(self.times, other.times)
    probability = np.zeros((len(times), len(labels)))
    for part in (self.resample(times), other.resample(times)):
      columns = [labels.index(label) for label in part.labels]
      probability[:, columns] = np.maximum(
        probability[:, columns], part.probability
      )
    return Objects(labels=labels, times=times, probability=probability)

  def muted(self) -> Objects | None:
    """The labels of probability 0 throughout, as if they were always there.

    None without any: what is on the list and never in the picture was silenced
    by whoever wrote the list.
    """
    silent = self._only(~self.probability.any(axis=0))
    if silent is None:
      return None
    always = np.ones_like(silent.probability)
    return dataclasses.replace(silent, probability=always)

  def present(self) -> Objects | None:
    """The labels that are in the picture at some time; None without any."""
    return self._only(self.probability.any(axis=0))

  def _only(self, kept: Bool[np.ndarray, "k"]) -> Objects | None:
    if not kept.any():
      return None
    labels = tuple(np.array(self.labels)[kept].tolist())
    return Objects(
      labels=labels, times=self.times, probability=self.probability[:, kept]
    )

  def events(
    self, label: str, *, duration: float | int, threshold: float = 0.5
  ) -> events_lib.Events:
    """When `label` is in the picture: probability above the threshold."""
    column = self.probability[:, self.labels.index(label)]
    return events_lib.from_binary(
      column > threshold, self.times, duration=duration
    )


def to_json(objects: Objects) -> dict[str, Any]:
  """{"labels": [..], "times": [s, ..], "probability": [[per label], ..]}."""
  return {
    "labels": list(objects.labels),
    "times": objects.times.tolist(),
    "probability": objects.probability.tolist(),
  }


def from_json(value: Any, *, where: str, duration: float) -> Objects:
  """Inverse of `to_json`.

  Raises:
    InputError: not a table of probabilities within 0..duration.
  """
  fields = document.record(
    value, where, required=("labels", "times", "probability")
  )
  here = f"{where}.labels"
  labels = [
    document.text(label, f"{here}[{i}]")
    for i, label in enumerate(document.sequence(fields["labels"], here))
  ]
  if not labels:
    raise InputError(here, "is empty; leave objects out instead")
  for i, label in enumerate(labels):
    if label in labels[:i]:
      raise InputError(f"{here}[{i}]", f"{label!r} is given twice")
  times = document.times(fields["times"], f"{where}.times", duration=duration)
  probability = document.table(
    fields["probability"],
    f"{where}.probability",
    shape=(len(times), len(labels)),
    low=0.0,
    high=1.0,
  )
  return Objects(labels=tuple(labels), times=times, probability=probability)
