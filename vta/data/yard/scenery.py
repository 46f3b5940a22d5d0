"""Rain, a stream, and the silent distractors: bird, flag, balloon, light."""

from __future__ import annotations

import math

import numpy as np

from vta.data.yard.figures import Draw, shade
from vta.data.yard.moment import Moment
from vta.data.yard.pen import Pen
from vta.data.yard.scene import Distractor, Source


def rain(source: Source, side: int) -> Draw:
  """Streaks over the whole frame, more with size; splashes at the bottom."""
  del side
  rng = np.random.default_rng([source.seed, 1])
  count = int(18 + 50 * source.size)
  drops = rng.random((count, 3)).tolist()
  slant = float(rng.uniform(-0.12, 0.12))

  def draw(pen: Pen, moment: Moment) -> None:
    if not moment.active:
      return
    pen.rectangle(0.0, 0.0, 1.0, 1.0, (150, 165, 190, 50))
    for start, across, pace in drops:
      fallen = (start + (1.6 + 0.8 * pace) * moment.time) % 1.0
      y = 1.3 * fallen - 0.2
      x = (across + slant * fallen) % 1.0
      long = 0.08 + 0.06 * pace
      pen.line(
        [(x, y), (x + slant * long, y + long)], 0.008, (225, 236, 255, 200)
      )
      if fallen > 0.85:
        pen.ellipse(x, 0.72 + 0.27 * start, 0.022, 0.008, (235, 242, 255, 180))

  return draw


def stream(source: Source, side: int) -> Draw:
  """A band of water; its waves run while it is heard and rest otherwise."""
  del side
  rng = np.random.default_rng([source.seed, 1])
  waves = rng.random((26, 3)).tolist()
  begins, ends = source.intervals.T if len(source.intervals) else ((), ())

  def draw(pen: Pen, moment: Moment) -> None:
    running = sum(
      max(0.0, min(moment.time, end) - begin)
      for begin, end in zip(begins, ends, strict=True)
    )
    pen.rectangle(0.0, 0.0, 1.0, 1.0, (42, 104, 158))
    pen.rectangle(0.0, 0.0, 1.0, 0.08, (92, 82, 62))
    pen.rectangle(0.0, 0.92, 1.0, 1.0, (92, 82, 62))
    strong = 235 if moment.active else 80
    for across, down, long in waves:
      x = 1.3 * ((across + 0.45 * (0.7 + 0.6 * down) * running) % 1.0) - 0.15
      y = 0.14 + 0.7 * down
      bob = 0.05 * math.sin(9.0 * running + 40.0 * across)
      half = 0.03 + 0.05 * long
      pen.line(
        [(x - half, y + bob), (x, y - 0.06 + bob), (x + half, y + bob)],
        0.05,
        (205, 236, 250, strong),
      )

  return draw


def bird(item: Distractor, pen: Pen, time: float) -> None:
  """Two wings that beat without a sound."""
  flap = math.sin(2.0 * math.pi * item.rate * time + item.phase)
  tip = 0.5 - 0.42 * flap
  for way in (-1.0, 1.0):
    wing = (
      (0.5 + 0.04 * way, 0.42),
      (0.5 + 0.26 * way, 0.5 * (0.5 + tip) - 0.12),
      (0.5 + 0.48 * way, tip),
      (0.5 + 0.24 * way, 0.5 * (0.5 + tip) + 0.08),
      (0.5 + 0.04 * way, 0.62),
    )
    pen.polygon(wing, shade(item.colour, 0.8))
  pen.ellipse(0.5, 0.52, 0.11, 0.13, item.colour)
  pen.disc(0.5, 0.4, 0.09, item.accent)


def flag(item: Distractor, pen: Pen, time: float) -> None:
  """A cloth that waves from a pole."""
  pen.rectangle(0.06, 0.0, 0.13, 1.0, (70, 66, 62))
  turn = 2.0 * math.pi * item.rate * time + item.phase
  xs = [0.13 + 0.84 * k / 8 for k in range(9)]
  lift = [0.05 * k / 8 * math.sin(turn - 0.8 * k) for k in range(9)]
  for top, bottom, fill in (
    (0.07, 0.29, item.colour),
    (0.29, 0.5, item.accent),
  ):
    upper = [(x, top + up) for x, up in zip(xs, lift, strict=True)]
    lower = [(x, bottom + up) for x, up in zip(xs, lift, strict=True)]
    pen.polygon([*upper, *reversed(lower)], fill)


def balloon(item: Distractor, pen: Pen, time: float) -> None:
  """A balloon whose string sways."""
  sway = 0.12 * math.sin(2.0 * math.pi * 0.5 * item.rate * time + item.phase)
  string = [(0.5, 0.62), (0.5 + sway, 0.8), (0.5 - sway, 0.98)]
  pen.line(string, 0.02, (60, 60, 60))
  pen.ellipse(0.5, 0.32, 0.46, 0.31, item.colour)
  pen.ellipse(0.36, 0.2, 0.13, 0.08, (255, 255, 255, 150))
  pen.polygon(((0.43, 0.67), (0.57, 0.67), (0.5, 0.6)), item.colour)


def light(item: Distractor, pen: Pen, time: float) -> None:
  """A lamp that blinks."""
  on = math.sin(2.0 * math.pi * item.rate * time + item.phase) > 0.0
  pen.rectangle(0.4, 0.75, 0.6, 1.0, (70, 66, 62))
  if on:
    pen.disc(0.5, 0.45, 0.44, (*item.colour, 110))
  pen.disc(0.5, 0.45, 0.32, item.colour if on else shade(item.colour, 0.35))
  if on:
    pen.disc(0.5, 0.45, 0.16, (255, 255, 245))
