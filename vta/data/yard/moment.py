"""What a source is doing at one instant: all that a figure needs to know."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from vta.data.yard.scene import Route, Source


class Moment(NamedTuple):
  """One source at one time.

  Attributes:
    time: seconds from the clip's start.
    age: seconds since the latest contact; inf before the first.
    strength: of that contact, 0..1.
    ahead: seconds until the next contact; inf after the last.
    count: contacts so far.
    phase: contacts counted continuously (`Source.phase`).
    active: 1.0 while it sounds continuously.
    x: metres to the right of the camera.
    heading: 1.0 when it goes, went last, or will first go right, else -1.0.
  """

  time: float
  age: float
  strength: float
  ahead: float
  count: int
  phase: float
  active: float
  x: float
  heading: float


def moments(source: Source, times: Float[np.ndarray, " f"]) -> list[Moment]:
  """The source at each time; a function of each time alone."""
  age, strength = source.last_contact(times)
  ahead, _ = source.next_contact(times)
  columns = (
    times,
    age,
    strength,
    ahead,
    np.searchsorted(source.contacts, times, side="right"),
    source.phase(times),
    source.active(times),
    source.route.at(times)[:, 0],
    _heading(source.route, times),
  )
  return [
    Moment(*row)
    for row in zip(*(column.tolist() for column in columns), strict=True)
  ]


def _heading(
  route: Route, times: Float[np.ndarray, " f"]
) -> Float[np.ndarray, " f"]:
  ways = [1.0]
  for step in np.diff(route.points[:, 0]):
    ways.append(float(np.sign(step)) if abs(step) > 1e-6 else ways[-1])
  # Before anything has moved, it already faces where it will go.
  moved = np.flatnonzero(np.abs(np.diff(route.points[:, 0])) > 1e-6)
  first = int(moved[0]) + 1 if len(moved) else 0
  ways[:first] = [ways[first]] * first
  segment = np.searchsorted(route.times, times, side="right")
  return np.array(ways)[np.clip(segment, 0, len(ways) - 1)]
