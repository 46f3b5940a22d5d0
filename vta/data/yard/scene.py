"""What happens in the yard: containers and geometry, no sound, no pixels.

The world is seen by one camera at the origin, `EYE` metres above the ground,
looking along +z to a horizon at frame height `HORIZON`. Points are metres
(x right, y up from the ground, z away from the camera); frame coordinates run
0..1 from the top left corner. Sizes are a toy's: large enough to be seen at
64 pixels.

Every pixel that a source draws (its stick, dust and flash too, but not its
shadow) lies inside `Scene.box(source, times)`; that promise is what makes the
masks exact.
"""

from __future__ import annotations

import dataclasses
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float

HORIZON = 0.45
EYE = 1.2
FOCAL = 0.866  # frame widths per unit of x / z: a field of view of 60 degrees

Kind = Literal["impact", "repeated", "moving", "ambient"]
Split = Literal["train", "validation", "test", "combination"]
Colour = tuple[int, int, int]


class Position(NamedTuple):
  """Where something is in the frame, and how far from the camera.

  Attributes:
    x: frame coordinate of its centre, 0 left, 1 right; outside when unseen.
    y: frame coordinate of its centre, 0 top, 1 bottom.
    distance: metres from the camera (and the microphone).
    scale: frame heights per metre at its depth.
  """

  x: Float[np.ndarray, " f"]
  y: Float[np.ndarray, " f"]
  distance: Float[np.ndarray, " f"]
  scale: Float[np.ndarray, " f"]


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Route:
  """A motion of piecewise constant acceleration; it rests at both ends.

  Between knots i and i + 1, with u from 0 to 1,
  p(u) = p_i + u (p_{i+1} - p_i) + 4 u (1 - u) bend_i,
  so that a falling ball, a braking car and a straight flight are all exact.

  Attributes:
    times: knots, seconds, ascending.
    points: metres (x, y, z) at the knots.
    bends: metres by which the middle of each segment leaves the straight line.
  """

  times: Float[np.ndarray, " n"]
  points: Float[np.ndarray, "n 3"]
  bends: Float[np.ndarray, "n-1 3"]

  def _segment(self, times):
    i = np.searchsorted(self.times, times, side="right") - 1
    i = np.clip(i, 0, max(len(self.times) - 2, 0))
    span = self.times[i + 1] - self.times[i]
    return i, np.clip((times - self.times[i]) / span, 0.0, 1.0), span

  def at(self, times: Float[np.ndarray, " f"]) -> Float[np.ndarray, "f 3"]:
    """Points in metres; before the first knot and after the last it rests."""
    if len(self.times) == 1:
      return np.repeat(self.points, len(times), axis=0)
    i, u, _ = self._segment(times)
    step = self.points[i + 1] - self.points[i]
    lift = 4.0 * u * (1.0 - u)
    return self.points[i] + u[:, None] * step + lift[:, None] * self.bends[i]

  def velocity(
    self, times: Float[np.ndarray, " f"]
  ) -> Float[np.ndarray, "f 3"]:
    """Metres per second; zero where it rests."""
    if len(self.times) == 1:
      return np.zeros((len(times), 3))
    i, u, span = self._segment(times)
    step = self.points[i + 1] - self.points[i]
    slope = (step + (4.0 - 8.0 * u)[:, None] * self.bends[i]) / span[:, None]
    inside = (times >= self.times[0]) & (times < self.times[-1])
    return np.where(inside[:, None], slope, 0.0)


def project(points: Float[np.ndarray, "f 3"]) -> Position:
  """The frame position of world points, before the camera moves."""
  x, y, z = points.T
  scale = FOCAL / z
  return Position(
    x=0.5 + x * scale,
    y=HORIZON + (EYE - y) * scale,
    distance=np.linalg.norm(points - np.array([[0.0, EYE, 0.0]]), axis=-1),
    scale=scale,
  )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Camera:
  """A hand that holds the camera: slow pan and zoom, and a little shake.

  Attributes:
    start, end: offsets of the frame (x, y) at the clip's two ends.
    zoom: magnification at the clip's two ends.
    shake: amplitude of the shake in frame widths.
    rates, phases: of the two sines (x, y) of the shake, Hz and radians.
    duration: seconds over which pan and zoom happen.
  """

  start: tuple[float, float]
  end: tuple[float, float]
  zoom: tuple[float, float]
  shake: float
  rates: tuple[float, float]
  phases: tuple[float, float]
  duration: float

  def magnification(
    self, times: Float[np.ndarray, " f"]
  ) -> Float[np.ndarray, " f"]:
    """The zoom at the given times."""
    u = np.clip(times / self.duration, 0.0, 1.0)
    return self.zoom[0] + u * (self.zoom[1] - self.zoom[0])

  def transform(
    self, points: Float[np.ndarray, "f 2"], times: Float[np.ndarray, " f"]
  ) -> Float[np.ndarray, "f 2"]:
    """Moves frame coordinates as the camera does: zoom about the middle, pan.

    Args:
      points: (x, y) before the camera moves, one per time.
      times: seconds.
    """
    u = np.clip(times / self.duration, 0.0, 1.0)[:, None]
    pan = (1.0 - u) * np.array([self.start]) + u * np.array([self.end])
    turns = 2.0 * np.pi * times[:, None] * np.array([self.rates])
    shake = self.shake * np.sin(turns + np.array([self.phases]))
    zoom = self.magnification(times)[:, None]
    return 0.5 + (points - 0.5) * zoom + pan + shake


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Source:
  """One thing that sounds.

  Attributes:
    kind: how its sound happens in time.
    thing: what it is, a key of `things.THINGS`.
    material: what is struck, walked on or sawn; None where it has no meaning.
    size: 0 small .. 1 large.
    on_screen: whether it is drawn at all.
    route: motion of the centre of its box.
    extent: width and height of its box in metres; may be infinite.
    contacts: seconds of its contacts (strikes, steps, ticks, stroke starts).
    strengths: of each contact, 0..1, proportional to amplitude.
    intervals: (start, end) in seconds of continuous sound, disjoint, sorted.
    level_db: gain at the thing's reference distance.
    colour, accent: for whoever draws it.
    seed: of its own noise.
  """

  kind: Kind
  thing: str
  material: str | None
  size: float
  on_screen: bool
  route: Route
  extent: tuple[float, float]
  contacts: Float[np.ndarray, " k"]
  strengths: Float[np.ndarray, " k"]
  intervals: Float[np.ndarray, "i 2"]
  level_db: float
  colour: Colour
  accent: Colour
  seed: int

  @property
  def size_name(self) -> Literal["small", "medium", "large"]:
    """The word for its size."""
    if self.size < 1 / 3:
      return "small"
    return "medium" if self.size < 2 / 3 else "large"

  def path(self, times: Float[np.ndarray, " f"]) -> Position:
    """Centre of the source in the frame, before the camera moves."""
    return project(self.route.at(times))

  def last_contact(
    self, times: Float[np.ndarray, " f"]
  ) -> tuple[Float[np.ndarray, " f"], Float[np.ndarray, " f"]]:
    """Seconds since the latest contact (inf before the first) and strength."""
    i = np.searchsorted(self.contacts, times, side="right")
    at = np.concatenate([[-np.inf], self.contacts])[i]
    return times - at, np.concatenate([[0.0], self.strengths])[i]

  def next_contact(
    self, times: Float[np.ndarray, " f"]
  ) -> tuple[Float[np.ndarray, " f"], Float[np.ndarray, " f"]]:
    """Seconds until the next contact (inf after the last) and strength."""
    i = np.searchsorted(self.contacts, times, side="right")
    at = np.concatenate([self.contacts, [np.inf]])[i]
    return at - times, np.concatenate([self.strengths, [0.0]])[i]

  def phase(self, times: Float[np.ndarray, " f"]) -> Float[np.ndarray, " f"]:
    """Contacts counted continuously: k exactly at contact k.

    cos(pi * phase) is a pendulum that ticks at its turning points, a foot
    that lands, a saw that turns. Beyond the outer contacts it goes on at their
    median interval.
    """
    if len(self.contacts) < 2:
      return np.zeros(len(times))
    step = float(np.median(np.diff(self.contacts)))
    inner = np.interp(times, self.contacts, np.arange(len(self.contacts)))
    before = np.minimum(times - self.contacts[0], 0.0) / step
    after = np.maximum(times - self.contacts[-1], 0.0) / step
    return inner + before + after

  def active(self, times: Float[np.ndarray, " f"]) -> Float[np.ndarray, " f"]:
    """1.0 inside a continuous interval, 0.0 outside."""
    inside = (times[:, None] >= self.intervals[None, :, 0]) & (
      times[:, None] < self.intervals[None, :, 1]
    )
    return inside.any(axis=-1).astype(np.float64)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Distractor:
  """Something that moves and makes no sound.

  Attributes:
    kind: a bird on silent wings, a swinging flag, a balloon, a blinking light.
    route, extent, colour, accent: as a source's.
    rate, phase: of its flapping, swinging or blinking, Hz and radians.
  """

  kind: Literal["bird", "flag", "balloon", "light"]
  route: Route
  extent: tuple[float, float]
  colour: Colour
  accent: Colour
  rate: float
  phase: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Background:
  """What is behind everything.

  Attributes:
    kind: its texture; "horizon" has sky above and ground below.
    colours: three to mix: (upper or first, lower or second, detail).
    light: gain of all pixels, around 1.
    gradient: (x, y) by how much light changes across the frame.
    vignette: 0 none .. 1 dark corners.
    seed: of its texture.
  """

  kind: Literal["gradient", "noise", "tiles", "horizon"]
  colours: tuple[Colour, Colour, Colour]
  light: float
  gradient: tuple[float, float]
  vignette: float
  seed: int


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Scene:
  """Everything about one clip, drawn from (seed, index, split)."""

  seed: int
  index: int
  split: Split
  duration: float
  sources: tuple[Source, ...]
  distractors: tuple[Distractor, ...]
  background: Background
  camera: Camera

  def place(
    self, item: Source | Distractor, times: Float[np.ndarray, " f"]
  ) -> Position:
    """Where the viewer sees the item's centre, camera motion included."""
    seen = project(item.route.at(times))
    xy = self.camera.transform(np.stack([seen.x, seen.y], -1), times)
    zoom = self.camera.magnification(times)
    return Position(xy[:, 0], xy[:, 1], seen.distance, seen.scale * zoom)

  def pan(
    self, source: Source, times: Float[np.ndarray, " f"]
  ) -> Float[np.ndarray, " f"]:
    """Where it is heard: -1 left .. 1 right, as it is seen.

    What is beyond the frame's edges stays at 0.85, so that no channel is ever
    quite silent; what fills the frame from side to side is in the middle.
    """
    if np.isinf(source.extent[0]):
      return np.zeros(len(times))
    return 0.85 * np.clip(2.0 * self.place(source, times).x - 1.0, -1.0, 1.0)

  def box(
    self, item: Source | Distractor, times: Float[np.ndarray, " f"]
  ) -> Float[np.ndarray, "f 4"]:
    """The box that holds the item's pixels, not clipped to the frame.

    Returns:
      (left, top, right, bottom) in frame coordinates; infinite where the
      item's extent is.
    """
    seen = self.place(item, times)
    half_width = 0.5 * item.extent[0] * seen.scale
    half_height = 0.5 * item.extent[1] * seen.scale
    return np.stack(
      [
        seen.x - half_width,
        seen.y - half_height,
        seen.x + half_width,
        seen.y + half_height,
      ],
      axis=-1,
    )
