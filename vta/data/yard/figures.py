"""Things that strike, step, tick and swing: how each is drawn.

Each function here prepares the pictures that a source needs, once, and returns
a function that draws it at a moment inside its box. Where parts lie in the box
follows `things.THINGS`; the pose at a contact is exact: a stick is down, a foot
is on the ground, a pendulum is at its turning point when the contact sounds.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from vta.data.yard import texture
from vta.data.yard.moment import Moment
from vta.data.yard.pen import Fill, Pen
from vta.data.yard.scene import Colour, Source

Draw = Callable[[Pen, Moment], None]

FLASH = 0.14  # seconds; two frames at 15 fps
DUST = 0.35
_DARK = (38, 34, 34)
_SKIN = (236, 188, 150)
_LIGHT_WOOD = (222, 184, 120)


def shade(colour: Colour, gain: float) -> Colour:
  """A darker or lighter colour."""
  red, green, blue = (min(255, int(gain * value)) for value in colour)
  return red, green, blue


def _rng(source: Source) -> np.random.Generator:
  return np.random.default_rng([source.seed, 1])


def _flash(pen: Pen, moment: Moment, x: float, y: float, reach: float) -> None:
  """Rays from a contact, longer when it is stronger, gone after `FLASH`.

  Args:
    reach: of the strongest contact's rays, in box heights.
  """
  if moment.age >= FLASH:
    return
  left = 1.0 - moment.age / FLASH
  length = reach * (0.45 + 0.55 * moment.strength)
  colour: Fill = (255, 246, 150, int(110 + 145 * left))
  for turn in (-2, -1, 0, 1, 2):
    angle = math.pi + 0.62 * turn
    start = pen.along((x, y), angle, 0.35 * length)
    end = pen.along((x, y), angle, length)
    pen.line([start, end], 0.16 * length, colour)
  pen.disc(x, y, 0.3 * length, (255, 255, 235, int(255 * left)))


def _dust(pen: Pen, moment: Moment, colour: Colour) -> None:
  """Two puffs that leave the box's bottom to both sides."""
  if moment.age >= DUST:
    return
  u = moment.age / DUST
  radius = (0.04 + 0.06 * u) * (0.5 + 0.5 * moment.strength)
  fill = (*colour, int(210 * (1.0 - u)))
  for way in (-1.0, 1.0):
    x = 0.5 + way * (0.3 + 0.1 * u)
    pen.ellipse(x, 0.98 - radius, radius, radius, fill)


def _raised(moment: Moment, *, fall: float, rise: float) -> float:
  """How far a hand is lifted: 0 exactly at contacts, 1 between them."""
  down = min(moment.ahead / fall, 1.0)
  up = min(moment.age / rise, 1.0)
  return math.sin(0.5 * math.pi * min(down, up))


def ball(source: Source, side: int) -> Draw:
  """A sphere that flattens when it lands."""
  sphere = texture.ball(source.material, source.colour, _rng(source), side)

  def draw(pen: Pen, moment: Moment) -> None:
    squash = 0.0
    if moment.age < 0.15:
      squash = (1.0 - moment.age / 0.15) * (0.3 + 0.7 * moment.strength)
    _dust(pen, moment, (225, 215, 195))
    wide, high = 0.46 + 0.04 * squash, 0.94 - 0.3 * squash
    pen.paste(sphere, 0.5 - wide, 1.0 - high, 0.5 + wide, 1.0)
    if moment.age < FLASH:
      for way in (-1.0, 1.0):
        _spark(pen, moment, 0.5 + 0.38 * way, way)

  return draw


def _spark(pen: Pen, moment: Moment, x: float, way: float) -> None:
  """Short rays beside something that hits the ground."""
  left = 1.0 - moment.age / FLASH
  fill = (255, 246, 150, int(110 + 145 * left))
  reach = 0.07 + 0.1 * moment.strength
  for angle in (0.55 * math.pi, 0.75 * math.pi):
    end = pen.along((x, 0.95), way * angle, reach)
    pen.line([(x, 0.95), (min(max(end[0], 0.02), 0.98), end[1])], 0.05, fill)


def block(source: Source, side: int) -> Draw:
  """A heavy box that lands flat."""
  box = texture.block(source.material, source.colour, _rng(source), side)

  def draw(pen: Pen, moment: Moment) -> None:
    sag = 0.0
    if moment.age < 0.1:
      sag = 0.1 * moment.strength * (1.0 - moment.age / 0.1)
    pen.paste(box, 0.08, 0.02 + sag, 0.92, 1.0)
    _dust(pen, moment, (225, 215, 195))
    if moment.age < FLASH:
      for way in (-1.0, 1.0):
        _spark(pen, moment, 0.5 + 0.4 * way, way)

  return draw


def stick(source: Source, side: int) -> Draw:
  """A stick comes down on a drum, a pot, a jar, a bucket or a stump."""
  feet = {
    "wood": 0.96,
    "metal": 0.86,
    "glass": 0.8,
    "stone": 1.0,
    "plastic": 0.68,
    "drum skin": 1.0,
  }
  body = texture.vessel(
    source.material,
    source.colour,
    _rng(source),
    side,
    foot=feet[source.material],
  )
  target = (0.46, 0.5 + 0.08)
  pivot = (0.95, 0.3)

  def draw(pen: Pen, moment: Moment) -> None:
    give = max(0.0, 1.0 - moment.age / 0.1) * 0.05 * moment.strength
    pen.paste(body, 0.06, 0.5 + give, 0.86, 1.0)
    lift = _raised(moment, fall=0.13, rise=0.16)
    reach = math.hypot(
      (target[0] - pivot[0]) * pen.width, (target[1] - pivot[1]) * pen.height
    )
    level = math.atan2(
      (target[0] - pivot[0]) * pen.width, (target[1] - pivot[1]) * pen.height
    )
    tip = pen.along(pivot, level - 0.75 * lift, reach / pen.height)
    pen.line([pivot, tip], 0.07, _DARK)
    pen.line([pivot, tip], 0.045, _LIGHT_WOOD)
    pen.disc(*tip, 0.042, (250, 240, 220))
    pen.disc(*pivot, 0.05, _SKIN)
    _flash(pen, moment, *target, 0.3)

  return draw


def hammer(source: Source, side: int) -> Draw:
  """A hammer swings down on a wide anvil."""
  anvil = texture.block(source.material, source.colour, _rng(source), side)
  pivot = (0.94, 0.52)

  def draw(pen: Pen, moment: Moment) -> None:
    pen.paste(anvil, 0.02, 0.56, 0.9, 1.0)
    lift = _raised(moment, fall=0.14, rise=0.28)
    angle = -0.5 * math.pi - 0.75 * lift
    long = 0.53 * pen.width / pen.height
    end = pen.along(pivot, angle, long)
    pen.line([pivot, end], 0.075, _DARK)
    pen.line([pivot, end], 0.05, _LIGHT_WOOD)
    # The head lies across the handle; its face is 0.1 below the handle.
    face = pen.along(end, angle + 0.5 * math.pi, 0.12)
    back = pen.along(end, angle - 0.5 * math.pi, 0.12)
    pen.line([back, face], 0.16, _DARK)
    pen.line([back, face], 0.12, (120, 126, 140))
    pen.disc(*pivot, 0.055, _SKIN)
    _flash(pen, moment, end[0], 0.62, 0.26)

  return draw


def footsteps(source: Source, side: int) -> Draw:
  """A walker in profile, on a strip of the ground that it walks on."""
  ground = texture.strip(source.material, source.colour, _rng(source), side)
  shirt, trousers = source.colour, shade(source.accent, 0.8)
  wide, high = source.extent
  step = 0.3  # half a stride, radians at the hip

  def draw(pen: Pen, moment: Moment) -> None:
    # The strip is a window on the ground: its texture stays where it is.
    pen.paste_strip(ground, moment.x / wide, 0.86)
    sole, hip_height, leg = 0.925, 0.5, 0.425
    swing = math.cos(math.pi * moment.phase)
    travel = math.sin(math.pi * (moment.phase % 1.0))
    even = math.floor(moment.phase) % 2 == 0
    walking = min(moment.ahead, moment.age) < 0.8
    if not walking:
      swing, travel = 0.0, 0.0
    hip = (0.5, hip_height + 0.02 * (1.0 - travel))
    _arm(pen, moment, -swing, shade(shirt, 0.7))
    # The foot that swings from back to front is off the ground.
    legs = (
      (-swing, travel if even else 0.0, 0.7),
      (swing, 0.0 if even else travel, 1.0),
    )
    for forward, lift, gain in legs:
      angle = moment.heading * step * forward
      knee_angle = angle + moment.heading * 0.5 * lift
      knee = pen.along(hip, knee_angle, 0.5 * leg)
      reach = pen.along(hip, angle, leg)
      ankle = (reach[0], sole - 0.03 - 0.09 * lift)
      colour = shade(trousers, gain)
      pen.line([hip, knee, ankle], 0.085, colour)
      toe = (ankle[0] + moment.heading * 0.09 * high / wide, ankle[1] + 0.01)
      pen.line([ankle, toe], 0.055, shade(_DARK, gain))
    shoulder = (0.5, 0.24)
    pen.line([hip, shoulder], 0.15, shirt)
    pen.disc(0.5, 0.11, 0.085, _SKIN)
    pen.ellipse(0.5, 0.06, 0.075 * high / wide, 0.05, _DARK)
    _arm(pen, moment, swing, shade(shirt, 1.25))
    if moment.age < DUST and source.material in ("gravel", "snow", "stone"):
      _dust(pen, moment, (235, 232, 225))
    if moment.age < FLASH:
      x = 0.5 + moment.heading * math.sin(step) * leg * high / wide
      for way in (-1.0, 1.0):
        end = min(max(x + 0.24 * way, 0.03), 0.97)
        pen.line([(x + 0.08 * way, 0.94), (end, 0.87)], 0.045, (255, 246, 150))

  return draw


def _arm(pen: Pen, moment: Moment, forward: float, colour: Colour) -> None:
  hand = pen.along((0.5, 0.25), 0.5 * forward * moment.heading, 0.26)
  pen.line([(0.5, 0.25), hand], 0.055, colour)


def clock(source: Source, side: int) -> Draw:
  """A face whose hand jumps at each tick, over a pendulum."""
  case = texture.flat(source.material, source.colour, _rng(source), side)
  ratio = source.extent[1] / source.extent[0]

  def draw(pen: Pen, moment: Moment) -> None:
    pen.paste(case, 0.06, 0.0, 0.94, 1.0)
    pen.rectangle(0.12, 0.43, 0.88, 0.88, (28, 24, 24))
    swing = 0.5 * math.cos(math.pi * moment.phase)
    bob = pen.along((0.5, 0.44), swing, 0.34)
    glow = 1.0 + 0.6 * max(0.0, 1.0 - moment.age / FLASH)
    pen.line([(0.5, 0.44), bob], 0.022, (235, 215, 140))
    pen.disc(*bob, 0.052, shade((214, 168, 50), glow))
    radius = 0.42 / ratio
    pen.disc(0.5, 0.21, radius, shade(source.accent, 0.45))
    pen.disc(0.5, 0.21, 0.86 * radius, (250, 248, 238))
    turn = math.pi - math.pi / 6.0 * moment.count
    hand = pen.along((0.5, 0.21), turn, 0.74 * radius)
    pen.line([(0.5, 0.21), hand], 0.03, (200, 30, 30))
    pen.disc(0.5, 0.21, 0.02, _DARK)

  return draw


def knocking(source: Source, side: int) -> Draw:
  """A fist that reaches the middle of a door."""
  door = texture.flat(source.material, source.colour, _rng(source), side)

  def draw(pen: Pen, moment: Moment) -> None:
    pen.rectangle(0.0, 0.0, 1.0, 1.0, (64, 50, 42))
    give = max(0.0, 1.0 - moment.age / 0.1) * 0.02 * moment.strength
    pen.paste(door, 0.06 - give, 0.03, 0.94 - give, 1.0)
    for top, bottom in ((0.1, 0.32), (0.66, 0.92)):
      pen.line(
        [(0.18, bottom), (0.18, top), (0.82, top)], 0.015, (255, 255, 255, 90)
      )
      pen.line(
        [(0.18, bottom), (0.82, bottom), (0.82, top)], 0.015, (0, 0, 0, 110)
      )
    pen.disc(0.14, 0.55, 0.025, (230, 200, 90))
    _flash(pen, moment, 0.44, 0.5, 0.2)
    x = 0.5 + 0.26 * _raised(moment, fall=0.08, rise=0.1)
    if min(moment.ahead, moment.age) > 0.6:
      x = 0.86  # the hand rests between groups of knocks
    pen.line([(0.93, 0.6), (x + 0.05, 0.51)], 0.09, source.accent)
    pen.disc(x, 0.5, 0.078, _DARK)
    pen.disc(x, 0.5, 0.066, _SKIN)

  return draw


def typing(source: Source, side: int) -> Draw:
  """A keyboard from above, a finger, and the key that it presses."""
  plate = texture.flat(source.material, source.colour, _rng(source), side)
  rows, columns = 2, 5
  keys = _rng(source).integers(0, rows * columns, 4096).tolist()
  cap = (236, 236, 230) if sum(source.colour) < 384 else (52, 52, 60)

  def centre(key: int) -> tuple[float, float]:
    row, column = divmod(key, columns)
    return 0.1 + 0.8 * (column + 0.5) / columns, 0.08 + 0.58 * (
      row + 0.5
    ) / rows

  def draw(pen: Pen, moment: Moment) -> None:
    pen.paste(plate, 0.03, 0.02, 0.97, 0.72)
    down = moment.age < 0.1
    pressed = keys[max(moment.count - 1, 0)]
    for key in range(rows * columns):
      x, y = centre(key)
      lit = down and key == pressed
      fill = (255, 226, 60) if lit else cap
      pen.rectangle(x - 0.064, y - 0.11, x + 0.064, y + 0.1, fill)
    # The finger moves on to the next key once the last one is up.
    onward = moment.count if moment.age > 0.1 else moment.count - 1
    x, y = centre(keys[max(onward, 0)])
    lift = 0.2 * _raised(moment, fall=0.06, rise=0.1)
    tip = (x, y + lift)
    pen.line([(0.5 + 0.5 * (x - 0.5), 0.96), tip], 0.16, _DARK)
    pen.line([(0.5 + 0.5 * (x - 0.5), 0.96), tip], 0.12, _SKIN)
    if down:
      pen.disc(x, y, 0.13, (255, 240, 130, 190))

  return draw


def sawing(source: Source, side: int) -> Draw:
  """A saw slides to and fro over a log; dust falls while it cuts."""
  log = texture.log(source.material, source.colour, _rng(source), side)

  def draw(pen: Pen, moment: Moment) -> None:
    pen.paste(log, 0.1, 0.5, 0.9, 1.0)
    slide = 0.17 * math.cos(math.pi * moment.phase)
    middle = 0.45 + slide
    left, right = middle - 0.26, middle + 0.22
    pen.rectangle(0.44, 0.5, 0.46, 0.66, (20, 16, 12))
    blade = [(left, 0.36), (right, 0.3), (right, 0.56)]
    teeth = 9
    for k in range(teeth + 1):
      x = right + (left - right) * k / teeth
      blade.append((x, 0.58 if k % 2 else 0.52))
    pen.polygon(blade, (205, 212, 222))
    pen.line([(left, 0.36), (right, 0.3)], 0.03, (90, 96, 108))
    pen.rectangle(right - 0.01, 0.24, right + 0.1, 0.56, source.accent)
    pen.rectangle(right + 0.025, 0.33, right + 0.065, 0.48, _DARK)
    if moment.active:
      for k in range(8):
        fall = (3.1 * moment.time + k / 8.0) % 1.0
        x = 0.45 + 0.1 * math.sin(5.0 * k + math.floor(3.1 * moment.time))
        pen.disc(x, 0.62 + 0.34 * fall, 0.03, (255, 226, 150, 230))

  return draw


def bell(source: Source, side: int) -> Draw:
  """A bell that swings out after each stroke, rays at its mouth."""
  metal = ((214, 170, 62), (186, 190, 200), (176, 110, 60))[source.seed % 3]
  ratio = source.extent[0] / source.extent[1]
  # The bell's half outline in box heights: (from the axis, from the top).
  outline = ((0.05, 0.1), (0.13, 0.16), (0.17, 0.4), (0.2, 0.6), (0.29, 0.76))
  outline = tuple((0.88 * ratio * x, 0.85 * y) for x, y in outline)

  def draw(pen: Pen, moment: Moment) -> None:
    swing = 0.0
    if moment.age < 6.0:
      away = math.sin(2.0 * math.pi * 1.1 * moment.age)
      swing = 0.25 * moment.strength * away * math.exp(-moment.age / 1.2)
    sine, cosine = math.sin(swing), math.cos(swing)

    def turned(x: float, y: float) -> tuple[float, float]:
      return 0.5 + (cosine * x + sine * y) / ratio, cosine * y - sine * x

    pen.rectangle(0.1, 0.0, 0.9, 0.05, (90, 62, 40))
    pen.disc(*turned(0.0, 0.67), 0.05, _DARK)
    left = [turned(-x, y) for x, y in outline]
    right = [turned(x, y) for x, y in outline]
    pen.polygon([*left, *reversed(right)], shade(metal, 0.8))
    middle = [turned(-0.35 * x, y) for x, y in outline]
    pen.polygon([*left, *reversed(middle)], metal)
    gleam = [turned(-0.62 * x, y) for x, y in outline[1:]]
    pen.line(gleam, 0.035, (255, 248, 215))
    pen.line([left[-1], right[-1]], 0.05, shade(metal, 0.6))
    if moment.age < 0.25:
      left_over = 1.0 - moment.age / 0.25
      fill = (255, 246, 150, int(60 + 195 * left_over))
      for way in (-1.0, 1.0):
        for y in (0.52, 0.7, 0.88):
          start = (0.5 + 0.33 * way, y)
          end = (0.5 + 0.46 * way, y + 0.4 * (y - 0.7))
          pen.line([start, end], 0.05, fill)

  return draw
