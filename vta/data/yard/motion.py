"""Routes and rhythms: how things of the yard move and when they touch.

Each function draws from the generator it is given and returns routes (metres)
and contacts (seconds); nothing here knows what a thing sounds or looks like.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from vta.data.yard import scene

GRAVITY = 9.81
HIGHEST_FALL = 1.6  # metres; its contact has strength 1
EDGE = 0.36  # how far from the frame's middle a thing wanders


class _Knots:
  """A route under construction."""

  def __init__(self, time: float, point: tuple[float, float, float]):
    self.times = [time]
    self.points = [np.array(point, np.float64)]
    self.bends: list[np.ndarray] = []

  def go(self, seconds: float, point, bend=(0.0, 0.0, 0.0)) -> None:
    self.times.append(self.times[-1] + seconds)
    self.points.append(np.array(point, np.float64))
    self.bends.append(np.array(bend, np.float64))

  @property
  def time(self) -> float:
    return self.times[-1]

  @property
  def point(self) -> np.ndarray:
    return self.points[-1]

  def route(self) -> scene.Route:
    return scene.Route(
      times=np.array(self.times),
      points=np.stack(self.points),
      bends=np.array(self.bends).reshape(-1, 3),
    )


def still(point: tuple[float, float, float]) -> scene.Route:
  """A thing that stays where it is."""
  return _Knots(0.0, point).route()


def side(frame_x: float, z: float) -> float:
  """Metres to the right that show at frame coordinate `frame_x` at depth z."""
  return (frame_x - 0.5) * z / scene.FOCAL


def windows(
  rng: np.random.Generator, duration: float
) -> list[tuple[float, float]]:
  """When a thing is busy: the whole clip, or parts of it with pauses."""
  if rng.random() < 0.45:
    return [(0.0, duration)]
  count = 1 + rng.poisson(duration / 15.0)
  cuts = np.sort(rng.uniform(0.0, duration, 2 * count))
  spans = [
    (float(a), float(b))
    for a, b in zip(cuts[::2], cuts[1::2], strict=True)
    if b - a > 0.3
  ]
  # A clip of a second has no room for pauses, and nobody should wait for the
  # sound of a thing for most of the clip.
  if sum(b - a for a, b in spans) < 0.3 * duration:
    start = rng.uniform(0.0, 0.4 * duration)
    return [(start, rng.uniform(start + 0.5 * duration, duration))]
  return spans


def rhythm(
  rng: np.random.Generator, duration: float, *, shortest: float
) -> tuple[Float[np.ndarray, " k"], Float[np.ndarray, " k"]]:
  """Strikes of a hand: even, uneven, rare, or in bursts.

  Returns:
    contacts (seconds, at least one) and their strengths.
  """
  style = rng.choice(["even", "uneven", "rare", "bursts"])
  most = int(duration / shortest) + 2
  if style == "even":
    gaps = np.full(most, rng.uniform(1.0, 5.0) * shortest)
    gaps *= rng.uniform(0.97, 1.03, most)
  elif style == "uneven":
    gaps = shortest + rng.exponential(rng.uniform(0.2, 0.8), most)
  elif style == "rare":
    gaps = rng.uniform(1.0, 3.0, most)
  else:
    pause = rng.random(most) < 0.25
    gaps = np.where(
      pause, rng.uniform(0.8, 2.0, most), shortest * rng.uniform(1, 1.6, most)
    )
  first = rng.uniform(0.06, 0.4) * min(duration, 2.0)
  contacts = first + np.concatenate([[0.0], np.cumsum(gaps)])
  contacts = contacts[contacts < duration - 0.05]
  strengths = rng.uniform(0.3, 1.0, len(contacts))
  if rng.random() < 0.3:
    strengths = np.linspace(*rng.permutation([0.3, 1.0]), len(contacts))
  return contacts, strengths


def bursts(
  rng: np.random.Generator, duration: float, *, gap: float, count: int
) -> tuple[Float[np.ndarray, " k"], Float[np.ndarray, " k"]]:
  """Groups of about `count` contacts, `gap` seconds apart, with pauses."""
  most = int(duration / gap) + 2
  last = rng.random(most) < 1.0 / count
  gaps = gap * rng.uniform(0.8, 1.25, most)
  gaps = np.where(last, rng.uniform(0.6, 2.0, most), gaps)
  first = rng.uniform(0.06, 0.4) * min(duration, 2.0)
  contacts = first + np.concatenate([[0.0], np.cumsum(gaps)])
  contacts = contacts[contacts < duration - 0.05]
  return contacts, rng.uniform(0.5, 1.0, len(contacts))


def even(
  rng: np.random.Generator, spans: list[tuple[float, float]], *, gap: float
) -> tuple[Float[np.ndarray, " k"], Float[np.ndarray, " k"]]:
  """Steady contacts inside each span."""
  contacts = np.concatenate(
    [np.arange(a + 0.4 * gap, b - 0.05, gap) for a, b in spans]
  )
  contacts = contacts + rng.uniform(-0.02, 0.02, len(contacts)) * gap
  # Two spans may nearly touch.
  apart = np.diff(contacts, prepend=-np.inf) > 0.8 * gap
  return contacts[apart], rng.uniform(0.7, 1.0, int(apart.sum()))


def songs(
  rng: np.random.Generator,
  spans: list[tuple[float, float]],
  *,
  gap: tuple[float, float],
  long: tuple[float, float],
) -> Float[np.ndarray, "i 2"]:
  """Intervals of a length within `long`, `gap` apart, inside each span."""
  intervals = []
  for start, end in spans:
    while start < end - 0.1:
      stop = min(start + rng.uniform(*long), end)
      intervals.append((start, stop))
      start = stop + rng.uniform(*gap)
  return np.array(intervals)


def drops(
  rng: np.random.Generator,
  duration: float,
  *,
  frame_x: float,
  z: float,
  radius: float,
  restitution: float,
) -> tuple[scene.Route, Float[np.ndarray, " k"], Float[np.ndarray, " k"]]:
  """A thing held, let go, bouncing, resting, lifted and let go again.

  Args:
    restitution: speed after a contact over speed before it.
    radius: height of its centre above the ground at a contact.

  Returns:
    its route, contacts and their strengths (speed over that of the highest
    fall).
  """
  pause = rng.uniform(0.1, 1.5)
  drift = rng.uniform(-0.5, 0.5)
  edge = EDGE * z / scene.FOCAL
  height = rng.uniform(0.5, HIGHEST_FALL)
  # In a short clip the first contact must still fall inside it.
  height = min(height, 0.5 * GRAVITY * (0.6 * duration) ** 2)
  wait = rng.uniform(0.03, 0.25 * min(duration, 4.0))
  knots = _Knots(wait, (side(frame_x, z), radius + height, z))
  contacts, strengths = [], []
  while knots.time < duration:
    x = knots.point[0]
    fall = np.sqrt(2.0 * height / GRAVITY)
    x += drift * fall
    knots.go(fall, (x, radius, z), (0.0, height / 4.0, 0.0))
    rise = height
    while True:
      contacts.append(knots.time)
      strengths.append(np.sqrt(rise / HIGHEST_FALL))
      rise *= restitution**2
      if strengths[-1] * restitution < 0.13:
        break
      seconds = 2.0 * np.sqrt(2.0 * rise / GRAVITY)
      if abs(x + drift * seconds) > edge:
        drift = -np.sign(x) * abs(drift)
      x += drift * seconds
      knots.go(seconds, (x, radius, z), (0.0, rise, 0.0))
    knots.go(pause * rng.uniform(0.7, 1.5), knots.point)
    height = rng.uniform(0.5, HIGHEST_FALL)
    knots.go(rng.uniform(0.3, 0.5), (x, radius + height, z))
    knots.go(rng.uniform(0.1, 0.4), knots.point)
  contacts = np.array(contacts)
  heard = contacts < duration - 0.03
  return knots.route(), contacts[heard], np.array(strengths)[heard]


def walk(
  rng: np.random.Generator,
  spans: list[tuple[float, float]],
  *,
  frame_x: float,
  z: tuple[float, float],
  half_height: float,
) -> scene.Route:
  """To and fro while busy, nearer or farther from span to span.

  Args:
    z: depth at the first and at the last moment, metres.
  """
  speed = rng.uniform(0.3, 1.0)
  edge = EDGE * min(z) / scene.FOCAL
  x = np.clip(side(frame_x, z[0]), -edge, edge)
  direction = 1.0 if rng.random() < 0.5 else -1.0
  begin, end = spans[0][0], spans[-1][1]

  def depth(time):
    return z[0] + (z[1] - z[0]) * (time - begin) / (end - begin)

  knots = _Knots(begin, (x, half_height, z[0]))
  for a, b in spans:
    if a > knots.time:
      # Depth is a function of time only while it walks; it stands in a pause.
      knots.go(a - knots.time, knots.point)
    while knots.time < b - 1e-6:
      x = knots.point[0]
      room = (edge - direction * x) / speed
      if room < 0.05:
        direction = -direction
        continue
      seconds = min(room, b - knots.time)
      x += direction * speed * seconds
      knots.go(seconds, (x, half_height, depth(knots.time + seconds)))
  return knots.route()


def drive(
  rng: np.random.Generator,
  duration: float,
  *,
  z: float,
  extent: tuple[float, float],
  stops: bool,
) -> tuple[scene.Route, Float[np.ndarray, "i 2"]]:
  """Across the frame and back again later; or in, a stop, and out.

  Returns:
    its route and the intervals in which its engine runs.
  """
  far = 0.5 * z / scene.FOCAL + 0.5 * extent[0] + 0.4 * z
  y = 0.5 * extent[1]
  way = 1.0 if rng.random() < 0.5 else -1.0
  seconds = rng.uniform(0.6, 1.2) * min(duration, 6.0)
  knots = _Knots(
    rng.uniform(-0.3 * seconds, max(0.02, duration - 0.8 * seconds)),
    (-way * far, y, z),
  )
  intervals = []
  if stops and rng.random() < 0.4:
    # It stands in the frame with its engine off, and leaves.
    knots = _Knots(0.0, (side(rng.uniform(0.3, 0.7), z), y, z))
    knots.go(rng.uniform(0.1, 0.4) * min(duration, 5.0), knots.point)
  while knots.time < duration:
    start = knots.time
    x = knots.point[0]
    if abs(x) < far - 1e-6:  # it stands: engine on, idle, pull away
      knots.go(rng.uniform(0.05, 0.2) * min(duration, 4.0), knots.point)
      step = way * far - x
      knots.go(0.8 * seconds, (way * far, y, z), (-step / 4.0, 0.0, 0.0))
    elif stops and rng.random() < 0.5:  # it brakes, idles, engine off
      goal = side(rng.uniform(0.25, 0.75), z)
      step = goal - x
      knots.go(0.8 * seconds, (goal, y, z), (step / 4.0, 0.0, 0.0))
      knots.go(rng.uniform(0.05, 0.25) * min(duration, 4.0), knots.point)
    else:
      knots.go(seconds, (-x, y, z))
    intervals.append((start, knots.time))
    way = -np.sign(knots.point[0]) if abs(knots.point[0]) >= far - 1e-6 else way
    knots.go(rng.uniform(0.4, 2.0), knots.point)
  return knots.route(), np.array(intervals)


def fly(
  rng: np.random.Generator, duration: float
) -> tuple[scene.Route, Float[np.ndarray, "i 2"]]:
  """A plane: away from the camera or towards it, and back again later."""
  seconds = rng.uniform(0.8, 1.3) * min(duration, 7.0)
  near_z, far_z = rng.uniform(32.0, 45.0), rng.uniform(140.0, 240.0)
  near = (
    side(rng.uniform(0.2, 0.8), near_z),
    scene.EYE + rng.uniform(0.18, 0.30) * near_z / scene.FOCAL,
    near_z,
  )
  far = (
    side(rng.uniform(0.15, 0.85), far_z),
    scene.EYE + rng.uniform(0.08, 0.25) * far_z / scene.FOCAL,
    far_z,
  )
  ends = [near, far] if rng.random() < 0.6 else [far, near]
  knots = _Knots(rng.uniform(-0.2, 0.1) * seconds, ends[0])
  intervals = []
  while knots.time < duration:
    start = knots.time
    ends.reverse()
    knots.go(seconds, ends[0])
    intervals.append((start, knots.time))
    # It hangs on, silent and tiny or overhead, only in very long clips.
    knots.go(rng.uniform(0.5, 1.5), ends[0])
  return knots.route(), np.array(intervals)


def wander(
  rng: np.random.Generator,
  duration: float,
  start: tuple[float, float, float],
  *,
  speed: float,
) -> scene.Route:
  """Straight lines between random places in the upper frame at one depth."""
  z = start[2]
  knots = _Knots(0.0, start)
  while knots.time < duration:
    frame_y = rng.uniform(0.08, 0.7)
    goal = np.array(
      [
        side(rng.uniform(-0.1, 1.1), z),
        scene.EYE + (scene.HORIZON - frame_y) * z / scene.FOCAL,
        z,
      ]
    )
    seconds = max(np.linalg.norm(goal - knots.point) / speed, 0.2)
    knots.go(float(seconds), goal)
  return knots.route()
