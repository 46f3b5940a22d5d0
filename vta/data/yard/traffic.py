"""Vehicles: car, motorbike, train, plane and the van with the siren.

They face the way they go; wheels turn by the road they cover, and lamps, smoke
and propellers show that the engine runs.
"""

from __future__ import annotations

import math

from vta.data.yard.figures import Draw, shade
from vta.data.yard.moment import Moment
from vta.data.yard.pen import Pen
from vta.data.yard.scene import Colour, Source

_TYRE = (26, 26, 30)
_RIM = (196, 200, 206)
_GLASS = (176, 214, 232)
_LAMP = (255, 244, 170)


def _faced(moment: Moment, x: float) -> float:
  """Mirrors a box fraction when the vehicle goes left."""
  return x if moment.heading > 0 else 1.0 - x


def _outline(pen: Pen, moment: Moment, points, fill: Colour) -> None:
  pen.polygon([(_faced(moment, x), y) for x, y in points], fill)


def _wheel(
  pen: Pen, moment: Moment, x: float, radius: float, height: float
) -> None:
  """A wheel on the ground whose spokes turn with the road.

  Args:
    x: of its hub, before mirroring.
    radius: in box heights.
    height: of the box in metres.
  """
  hub = (_faced(moment, x), 1.0 - radius)
  pen.disc(*hub, radius, _TYRE)
  pen.disc(*hub, 0.62 * radius, _RIM)
  turn = -moment.x / (radius * height)
  for quarter in range(2):
    angle = turn + 0.5 * math.pi * quarter
    ends = [pen.along(hub, angle + k * math.pi, 0.6 * radius) for k in (0, 1)]
    pen.line(ends, 0.25 * radius, _TYRE)


def _exhaust(pen: Pen, moment: Moment, x: float, y: float) -> None:
  """Puffs behind a running engine, inside the box's last tenth."""
  if not moment.active:
    return
  for k in range(3):
    u = (2.5 * moment.time + k / 3.0) % 1.0
    fill = (225, 225, 225, int(200 * (1.0 - u)))
    pen.disc(_faced(moment, x - 0.05 * u), y - 0.12 * u, 0.035 + 0.03 * u, fill)


def car(source: Source, side: int) -> Draw:
  """A saloon; its lamps are lit and it smokes while the engine runs."""
  del side
  paint, height = source.colour, source.extent[1]

  def draw(pen: Pen, moment: Moment) -> None:
    shiver = 0.008 * math.sin(60.0 * moment.time) * moment.active
    body = (
      (0.08, 0.5), (0.25, 0.44), (0.34, 0.08), (0.66, 0.08), (0.78, 0.46),
      (0.95, 0.54), (0.97, 0.84), (0.08, 0.84),
    )  # fmt: skip
    body = [(x, y + shiver) for x, y in body]
    _outline(pen, moment, body, paint)
    lower = ((0.08, 0.68), (0.965, 0.68), (0.97, 0.84), (0.08, 0.84))
    _outline(pen, moment, lower, shade(paint, 0.7))
    rear = ((0.30, 0.44), (0.37, 0.15), (0.49, 0.15), (0.49, 0.44))
    front = ((0.53, 0.44), (0.53, 0.15), (0.64, 0.15), (0.73, 0.46))
    _outline(pen, moment, rear, _GLASS)
    _outline(pen, moment, front, _GLASS)
    for x in (0.25, 0.77):
      _wheel(pen, moment, x, 0.2, height)
    lamp = _LAMP if moment.active else (120, 120, 110)
    pen.disc(_faced(moment, 0.935), 0.6, 0.07, lamp)
    pen.disc(_faced(moment, 0.1), 0.58, 0.05, (220, 30, 30))
    _exhaust(pen, moment, 0.06, 0.82)

  return draw


def motorbike(source: Source, side: int) -> Draw:
  """Two wheels, a tank and a rider who leans forward."""
  del side
  paint, height = source.colour, source.extent[1]

  def draw(pen: Pen, moment: Moment) -> None:
    def run(points, width, fill):
      pen.line([(_faced(moment, x), y) for x, y in points], width, fill)

    for x in (0.24, 0.8):
      _wheel(pen, moment, x, 0.2, height)
    run([(0.24, 0.8), (0.5, 0.76), (0.66, 0.55)], 0.08, (90, 94, 104))
    run([(0.8, 0.8), (0.7, 0.44)], 0.06, (170, 174, 184))
    run([(0.7, 0.44), (0.62, 0.4)], 0.05, _TYRE)
    pen.disc(_faced(moment, 0.5), 0.74, 0.1, (70, 72, 80))
    tank = ((0.28, 0.54), (0.48, 0.5), (0.68, 0.48), (0.66, 0.62), (0.44, 0.66))
    _outline(pen, moment, tank, paint)
    run(
      [(0.42, 0.52), (0.58, 0.6), (0.5, 0.78)], 0.1, shade(source.accent, 0.6)
    )
    run([(0.42, 0.52), (0.54, 0.22)], 0.16, source.accent)
    run([(0.54, 0.26), (0.66, 0.42)], 0.07, shade(source.accent, 0.8))
    pen.disc(_faced(moment, 0.58), 0.115, 0.105, paint)
    pen.disc(_faced(moment, 0.62), 0.12, 0.05, _TYRE)
    lamp = _LAMP if moment.active else (120, 120, 110)
    pen.disc(_faced(moment, 0.75), 0.5, 0.06, lamp)
    _exhaust(pen, moment, 0.1, 0.84)

  return draw


def train(source: Source, side: int) -> Draw:
  """A locomotive that smokes, and wagons, on many wheels."""
  del side
  height = source.extent[1]

  def draw(pen: Pen, moment: Moment) -> None:
    wagons = 4
    for k in range(wagons):
      left = 0.01 + 0.2 * k
      paint = source.accent if k % 2 else shade(source.accent, 0.75)
      ends = sorted((_faced(moment, left), _faced(moment, left + 0.185)))
      jolt = 0.02 * max(0.0, 1.0 - moment.age / 0.12) * (-1) ** k
      pen.rectangle(ends[0], 0.3 + jolt, ends[1], 0.84, paint)
      pen.rectangle(ends[0], 0.26 + jolt, ends[1], 0.32, shade(paint, 0.5))
      for w in range(4):
        x = left + 0.02 + 0.042 * w
        a, b = sorted((_faced(moment, x), _faced(moment, x + 0.026)))
        pen.rectangle(a, 0.42 + jolt, b, 0.6, _GLASS)
      for x in (left + 0.035, left + 0.15):
        _wheel(pen, moment, x, 0.11, height)
    for x in (0.2, 0.4, 0.6, 0.8):
      a, b = sorted((_faced(moment, x - 0.006), _faced(moment, x + 0.012)))
      pen.rectangle(a, 0.72, b, 0.78, _TYRE)
    paint = source.colour
    boiler = ((0.82, 0.4), (0.97, 0.4), (0.985, 0.5), (0.985, 0.82),
              (0.82, 0.82))  # fmt: skip
    _outline(pen, moment, boiler, paint)
    cab = ((0.81, 0.22), (0.875, 0.22), (0.875, 0.82), (0.81, 0.82))
    _outline(pen, moment, cab, shade(paint, 0.7))
    window = ((0.825, 0.3), (0.86, 0.3), (0.86, 0.48), (0.825, 0.48))
    _outline(pen, moment, window, _GLASS)
    chimney = ((0.945, 0.24), (0.97, 0.24), (0.965, 0.42), (0.95, 0.42))
    _outline(pen, moment, chimney, _TYRE)
    for x in (0.84, 0.895, 0.95):
      _wheel(pen, moment, x, 0.14, height)
    pen.disc(_faced(moment, 0.982), 0.5, 0.06, _LAMP)
    for k in range(4):
      u = (1.6 * moment.time + k / 4.0) % 1.0
      fill = (240, 240, 240, int(230 * (1.0 - u) * moment.active))
      x = _faced(moment, 0.957 - 0.07 * u)
      pen.disc(x, 0.16 - 0.08 * u, 0.05 + 0.02 * u, fill)

  return draw


def plane(source: Source, side: int) -> Draw:
  """A plane from behind and below, its lights blinking while it is heard."""
  del side
  paint = tuple((c + 3 * 225) // 4 for c in source.colour)

  def draw(pen: Pen, moment: Moment) -> None:
    wing = ((0.0, 0.44), (0.44, 0.56), (0.56, 0.56), (1.0, 0.44), (0.98, 0.52),
            (0.58, 0.76), (0.42, 0.76), (0.02, 0.52))  # fmt: skip
    pen.polygon(wing, shade(paint, 0.62))
    tail = ((0.3, 0.28), (0.5, 0.36), (0.7, 0.28), (0.7, 0.36), (0.5, 0.46),
            (0.3, 0.36))  # fmt: skip
    pen.polygon(tail, shade(paint, 0.7))
    pen.ellipse(0.5, 0.6, 0.085, 0.22, paint)
    pen.polygon(
      ((0.475, 0.5), (0.49, 0.03), (0.51, 0.03), (0.525, 0.5)), source.colour
    )
    for x in (0.27, 0.73):
      pen.ellipse(x, 0.72, 0.042, 0.09, (72, 76, 86))
      if moment.active:
        pen.ellipse(x, 0.72, 0.024, 0.05, (255, 190, 90))
    if moment.active and moment.time % 0.5 < 0.25:
      pen.disc(0.03, 0.47, 0.045, (255, 40, 40))
      pen.disc(0.97, 0.47, 0.045, (40, 255, 80))

  return draw


def siren(source: Source, side: int) -> Draw:
  """A van with a stripe; the lamp on its roof flashes red and blue."""
  del side
  height = source.extent[1]

  def draw(pen: Pen, moment: Moment) -> None:
    body = ((0.03, 0.18), (0.72, 0.18), (0.84, 0.48), (0.97, 0.56),
            (0.98, 0.86), (0.03, 0.86))  # fmt: skip
    _outline(pen, moment, body, (240, 240, 236))
    stripe = ((0.03, 0.58), (0.975, 0.58), (0.98, 0.7), (0.03, 0.7))
    _outline(pen, moment, stripe, source.colour)
    front = ((0.62, 0.26), (0.7, 0.26), (0.79, 0.5), (0.62, 0.5))
    _outline(pen, moment, front, _GLASS)
    _outline(
      pen,
      moment,
      ((0.2, 0.27), (0.5, 0.27), (0.5, 0.47), (0.2, 0.47)),
      shade(_GLASS, 0.8),
    )
    for x in (0.22, 0.79):
      _wheel(pen, moment, x, 0.16, height)
    for k, colour in enumerate(((255, 30, 30), (40, 90, 255))):
      lit = moment.active and int(6.0 * moment.time) % 2 == k
      x = _faced(moment, 0.36 + 0.16 * k)
      pen.rectangle(
        x - 0.07, 0.08, x + 0.07, 0.18, colour if lit else shade(colour, 0.3)
      )
      if lit:
        pen.ellipse(x, 0.1, 0.13, 0.1, (*colour, 150))
        pen.ellipse(x, 0.1, 0.05, 0.05, (255, 255, 255, 230))
    pen.disc(_faced(moment, 0.955), 0.63, 0.05, _LAMP)

  return draw
