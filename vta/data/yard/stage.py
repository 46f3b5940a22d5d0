"""Draws a scene from (seed, index, split): the cast, their places, the set."""

from __future__ import annotations

import colorsys
from typing import get_args

import numpy as np

from vta.data.yard import motion, scene, things

SPLITS = get_args(scene.Split)
SILENT = 0.08  # of the clips: only things that make no sound

_COUNTS = {1: 0.45, 2: 0.36, 3: 0.19}
_KINDS = {"impact": 0.38, "repeated": 0.27, "moving": 0.2, "ambient": 0.15}
# Speed kept at a bounce; a block does not bounce like a ball.
_RESTITUTION = {
  "wood": 0.62,
  "metal": 0.72,
  "glass": 0.78,
  "stone": 0.52,
  "plastic": 0.82,
}


def sample_scene(
  seed: int,
  index: int,
  *,
  split: scene.Split = "train",
  duration: float | None = None,
) -> scene.Scene:
  """The scene of a clip: a function of its arguments and of nothing else.

  Args:
    seed, index: of the clip.
    split: "combination" casts what no other split does (see `things`).
    duration: seconds, 1 to 60; drawn from 2 to 10 by default.

  Raises:
    ValueError: when the duration is not between 1 and 60 seconds.
  """
  rng = np.random.default_rng([seed, index, SPLITS.index(split)])
  drawn = float(rng.uniform(2.0, 10.0))
  duration = drawn if duration is None else float(duration)
  if not 1.0 <= duration <= 60.0:
    raise ValueError(f"duration: {duration} s is not between 1 and 60 s")
  silent = split != "combination" and rng.random() < SILENT
  cast = [] if silent else _cast(rng, split)
  slots = _slots(rng, len(cast))
  sources = tuple(
    _source(rng, thing, material, duration, x)
    for (thing, material), x in zip(cast, slots, strict=True)
  )
  count = int(rng.integers(1, 4)) if silent else int(rng.integers(0, 3))
  return scene.Scene(
    seed=seed,
    index=index,
    split=split,
    duration=duration,
    sources=sources,
    distractors=tuple(_distractor(rng, duration) for _ in range(count)),
    background=_background(rng),
    camera=_camera(rng, duration),
  )


def _cast(rng, split) -> list[tuple[str, str | None]]:
  """One to three different things with their materials."""
  count = rng.choice(list(_COUNTS), p=list(_COUNTS.values()))
  while True:
    cast: dict[str, str | None] = {}
    if split == "combination":
      cast = _held_out_part(rng)
    while len(cast) < count:
      kind = rng.choice(list(_KINDS), p=list(_KINDS.values()))
      names = [n for n, t in things.THINGS.items() if t.kind == kind]
      name = str(rng.choice(names))
      cast.setdefault(name, _material(rng, name))
    if things.is_held_out(cast.items()) == (split == "combination"):
      names = list(cast)
      rng.shuffle(names)
      return [(name, cast[name]) for name in names]


def _held_out_part(rng) -> dict[str, str | None]:
  if rng.random() < 0.5:
    pairs = sorted(things.HELD_OUT_MATERIALS)
    name, material = pairs[rng.integers(len(pairs))]
    return {name: material}
  pairs = sorted(sorted(pair) for pair in things.HELD_OUT_PAIRS)
  names = pairs[rng.integers(len(pairs))]
  return {name: _material(rng, name) for name in names}


def _material(rng, name) -> str | None:
  materials = things.THINGS[name].materials
  return str(rng.choice(materials)) if materials else None


def _slots(rng, count) -> list[float]:
  """Frame coordinates, apart from each other, in random order."""
  if count == 0:
    return []
  edges = np.linspace(0.08, 0.92, count + 1)
  inner = 0.15 * (edges[1] - edges[0])
  return list(
    rng.permutation(rng.uniform(edges[:-1] + inner, edges[1:] - inner))
  )


def _colour(rng) -> scene.Colour:
  red, green, blue = colorsys.hsv_to_rgb(
    rng.random(), rng.uniform(0.3, 1.0), rng.uniform(0.35, 1.0)
  )
  return int(255 * red), int(255 * green), int(255 * blue)


def _source(rng, name, material, duration, frame_x) -> scene.Source:
  """A source of the given thing and material near frame coordinate x."""
  thing = things.THINGS[name]
  size = float(rng.choice([0.12, 0.5, 0.88]) + rng.uniform(-0.12, 0.12))
  small, large = thing.extent
  # inf - inf is nan: rain's extent is infinite at every size.
  extent = tuple(
    b if np.isinf(b) else a + size * (b - a)
    for a, b in zip(small, large, strict=True)
  )
  on_screen = bool(rng.random() >= thing.off_screen)
  z = thing.reference * float(rng.uniform(0.75, 1.5))
  if not on_screen:
    way = 1.0 if frame_x > 0.5 else -1.0
    frame_x = 0.5 + way * rng.uniform(0.75, 1.1)
  contacts, strengths = np.zeros(0), np.zeros(0)
  intervals = np.zeros((0, 2))
  place = (motion.side(frame_x, z), 0.5 * extent[1], z)

  if name in ("ball", "block"):
    restitution = _RESTITUTION[material] * (1.0 if name == "ball" else 0.4)
    route, contacts, strengths = motion.drops(
      rng,
      duration,
      frame_x=frame_x,
      z=z,
      radius=0.5 * extent[1],
      restitution=restitution,
    )
  elif name in ("stick", "hammer"):
    route = motion.still(place)
    shortest = 0.16 if name == "stick" else 0.35
    contacts, strengths = motion.rhythm(rng, duration, shortest=shortest)
  elif name == "bell":
    hung = (
      scene.EYE + (scene.HORIZON - rng.uniform(0.22, 0.4)) / scene.FOCAL * z
    )
    route = motion.still((place[0], hung, z))
    contacts, strengths = motion.rhythm(rng, duration, shortest=0.9)
  elif name == "footsteps":
    spans = motion.windows(rng, duration)
    contacts, strengths = motion.even(rng, spans, gap=rng.uniform(0.35, 0.65))
    if on_screen:
      route = motion.walk(
        rng,
        spans,
        frame_x=frame_x,
        z=(z, thing.reference * rng.uniform(0.75, 1.7)),
        half_height=0.5 * extent[1],
      )
    else:
      route = motion.still(place)
  elif name == "clock":
    route = motion.still((place[0], place[1] + rng.uniform(0.0, 0.5), z))
    gap = rng.uniform(0.3, 0.6) + 0.4 * size
    contacts, strengths = motion.even(rng, [(0.0, duration)], gap=gap)
  elif name == "knocking":
    route = motion.still(place)
    contacts, strengths = motion.bursts(
      rng, duration, gap=rng.uniform(0.16, 0.3), count=4
    )
  elif name == "typing":
    route = motion.still((place[0], rng.uniform(0.5, 0.8), z))
    contacts, strengths = motion.bursts(
      rng, duration, gap=rng.uniform(0.12, 0.22), count=9
    )
  elif name == "sawing":
    route = motion.still(place)
    gap = rng.uniform(0.35, 0.75)
    contacts, strengths = motion.even(
      rng, motion.windows(rng, duration), gap=gap
    )
    ends = np.minimum(contacts + 0.75 * gap, duration)
    intervals = np.stack([contacts, ends], axis=-1)
  elif name == "plane":
    route, intervals = motion.fly(rng, duration)
  elif thing.kind == "moving":
    route, intervals = motion.drive(
      rng, duration, z=z, extent=extent, stops=name == "car"
    )
    if not on_screen:
      route = motion.still(place)
    if name == "train":
      contacts, strengths = _joints(route, intervals)
  else:
    if not np.isfinite(extent[0]) and on_screen:
      place = (0.0, place[1], z)
    # Its centre is the frame's, or streaks would have an infinite place.
    if not np.isfinite(extent[1]):
      place = (0.0, scene.EYE, z)
    route = motion.still(place)
    spans = motion.windows(rng, duration)
    if name == "birds":
      intervals = motion.songs(rng, spans, gap=(0.25, 1.0), long=(0.2, 0.8))
    elif name == "crickets":
      gap, long = rng.uniform(0.15, 0.3), rng.uniform(0.12, 0.22)
      intervals = motion.songs(rng, spans, gap=(gap, gap), long=(long, long))
    else:
      intervals = np.array(spans).reshape(-1, 2)

  intervals = np.clip(intervals, 0.0, duration)
  intervals = intervals[intervals[:, 1] - intervals[:, 0] > 0.02]
  inside = (contacts >= 0.0) & (contacts < duration)
  return scene.Source(
    kind=thing.kind,
    thing=name,
    material=material,
    size=size,
    on_screen=on_screen,
    route=route,
    extent=extent,
    contacts=contacts[inside],
    strengths=strengths[inside],
    intervals=intervals,
    level_db=float(thing.level_db + rng.normal(0.0, 1.5)),
    colour=_colour(rng),
    accent=_colour(rng),
    seed=int(rng.integers(2**31)),
  )


def _joints(route, intervals):
  """Two wheels over each joint of the rails, 12 metres apart."""
  speed = np.abs(route.velocity(intervals.mean(axis=-1))[:, 0])
  contacts = [
    (np.arange(a, b, 12.0 / v)[:, None] + np.array([[0.0, 2.2 / v]])).ravel()
    for (a, b), v in zip(intervals, speed, strict=True)
  ]
  contacts = np.concatenate(contacts) if contacts else np.zeros(0)
  return np.sort(contacts), np.full(len(contacts), 0.6)


def _distractor(rng, duration) -> scene.Distractor:
  kind = str(rng.choice(["bird", "flag", "balloon", "light"]))
  z = float(rng.uniform(4.0, 8.0))
  width = float(rng.uniform(0.6, 1.4))
  high = scene.EYE + (scene.HORIZON - rng.uniform(0.1, 0.6)) / scene.FOCAL * z
  x = motion.side(rng.uniform(0.1, 0.9), z)
  here = (x, float(high), z)
  extent = (width, width)
  if kind == "bird":
    route = motion.wander(rng, duration, here, speed=rng.uniform(1.0, 3.0))
    extent = (width, 0.7 * width)
  elif kind == "balloon":
    route = motion.wander(rng, duration, here, speed=rng.uniform(0.1, 0.5))
    extent = (width, 1.6 * width)
  elif kind == "flag":
    route = motion.still(here)
    extent = (1.2 * width, 1.6 * width)
  else:
    route = motion.still(here)
    extent = (0.5 * width, 0.5 * width)
  return scene.Distractor(
    kind=kind,
    route=route,
    extent=extent,
    colour=_colour(rng),
    accent=_colour(rng),
    rate=float(rng.uniform(0.6, 3.5)),
    phase=float(rng.uniform(0.0, 2.0 * np.pi)),
  )


def _background(rng) -> scene.Background:
  kind = str(rng.choice(["gradient", "noise", "tiles", "horizon"]))
  light = rng.uniform(-0.25, 0.25, 2)
  return scene.Background(
    kind=kind,
    colours=(_colour(rng), _colour(rng), _colour(rng)),
    light=float(rng.uniform(0.65, 1.15)),
    gradient=(float(light[0]), float(light[1])),
    vignette=float(rng.uniform(0.0, 0.5)),
    seed=int(rng.integers(2**31)),
  )


def _camera(rng, duration) -> scene.Camera:
  def pair(values):
    return float(values[0]), float(values[1])

  moves = rng.random() < 0.5
  start = rng.uniform(-0.04, 0.04, 2)
  end = rng.uniform(-0.04, 0.04, 2) if moves else start
  zoom = rng.uniform(0.95, 1.1, 2) if moves else np.ones(2)
  return scene.Camera(
    start=pair(start),
    end=pair(end),
    zoom=pair(zoom),
    shake=float(rng.uniform(0.0, 0.008)) if rng.random() < 0.5 else 0.0,
    rates=pair(rng.uniform(0.3, 1.5, 2)),
    phases=pair(rng.uniform(0.0, 2.0 * np.pi, 2)),
    duration=duration,
  )
