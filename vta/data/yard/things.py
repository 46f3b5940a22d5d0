"""The cast of the yard: every thing, what it is made of, what is held out.

A `Thing` says where its parts lie in its box (fractions from the box's top,
for picture.py) and how it behaves (for stage.py and sound.py).
"""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Iterable, Mapping

from vta.data.yard import scene

SOLIDS = ("wood", "metal", "glass", "stone", "plastic")
STRUCK = (*SOLIDS, "drum skin")
GROUNDS = ("wood", "metal", "stone", "gravel", "snow")
MATERIALS = (*STRUCK, "gravel", "snow")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Thing:
  """One kind of source.

  Attributes:
    kind: how its sound happens in time.
    materials: it may be of; empty where material has no meaning.
    extent: (width, height) of its box in metres for size 0 and for size 1.
    reference: distance in metres at which `level_db` holds.
    level_db: its usual gain there, dB.
    off_screen: probability that it is heard and not seen.
    drawing: what its box shows.
  """

  kind: scene.Kind
  materials: tuple[str, ...] = ()
  extent: tuple[tuple[float, float], tuple[float, float]]
  reference: float
  level_db: float
  off_screen: float = 0.0
  drawing: str


_INFINITE = float("inf")

THINGS: Mapping[str, Thing] = types.MappingProxyType(
  {
    "ball": Thing(
      kind="impact",
      materials=SOLIDS,
      extent=((0.40, 0.40), (1.0, 1.0)),
      reference=3.0,
      level_db=-14.0,
      drawing="a ball of the material, as wide as its box; its bottom touches "
      "the ground at a contact",
    ),
    "block": Thing(
      kind="impact",
      materials=SOLIDS,
      extent=((0.45, 0.40), (1.1, 0.9)),
      reference=3.0,
      level_db=-12.0,
      drawing="a block of the material that fills its box, held, dropped, and "
      "lifted again; its bottom touches the ground at a contact",
    ),
    "stick": Thing(
      kind="impact",
      materials=STRUCK,
      extent=((0.8, 1.0), (1.6, 2.0)),
      reference=3.0,
      level_db=-16.0,
      off_screen=0.1,
      drawing="the lower half of the box is the object of the material (a drum "
      "for drum skin); a thin stick in the upper half comes down on its top "
      "(box fraction 0.5) at each contact",
    ),
    "hammer": Thing(
      kind="impact",
      materials=("wood", "metal", "stone"),
      extent=((0.9, 0.9), (1.7, 1.7)),
      reference=3.0,
      level_db=-10.0,
      off_screen=0.1,
      drawing="the lowest 0.4 of the box is a wide anvil of the material; a "
      "heavy hammer swings down on it (box fraction 0.6) at each contact",
    ),
    "footsteps": Thing(
      kind="repeated",
      materials=GROUNDS,
      extent=((0.5, 1.1), (0.9, 2.0)),
      reference=3.0,
      level_db=-13.0,
      off_screen=0.1,
      drawing="a walker; the soles are at the bottom of the box, and with k = "
      "phase one foot (k even) or the other (k odd) lands at each contact; a "
      "strip of the ground's material under the feet fills the lowest 0.1",
    ),
    "clock": Thing(
      kind="repeated",
      materials=("wood", "metal"),
      extent=((0.5, 1.1), (0.9, 1.9)),
      reference=3.0,
      level_db=-20.0,
      drawing="a clock face in the upper 0.4, below it a pendulum hung from "
      "fraction 0.4: angle = 0.5 cos(pi phase), ticks at the turning points",
    ),
    "knocking": Thing(
      kind="repeated",
      materials=("wood", "metal", "glass", "plastic"),
      extent=((0.9, 1.5), (1.3, 2.2)),
      reference=3.0,
      level_db=-12.0,
      off_screen=0.15,
      drawing="a door of the material fills the box; a fist in its middle "
      "moves sideways and touches it at each contact",
    ),
    "typing": Thing(
      kind="repeated",
      materials=("plastic", "metal"),
      extent=((1.0, 0.5), (1.8, 0.8)),
      reference=2.5,
      level_db=-20.0,
      drawing="a keyboard seen from above; a finger presses a key, which "
      "lights, at each contact",
    ),
    "sawing": Thing(
      kind="repeated",
      materials=("wood", "metal"),
      extent=((1.2, 0.8), (1.9, 1.2)),
      reference=3.0,
      level_db=-18.0,
      drawing="the lower half is a log of the material; the saw above moves "
      "sideways as cos(pi phase), a stroke lasts as an interval does",
    ),
    "car": Thing(
      kind="moving",
      extent=((3.0, 1.3), (4.5, 2.2)),
      reference=8.0,
      level_db=-14.0,
      drawing="a car with two wheels that turn; it may stop and start",
    ),
    "motorbike": Thing(
      kind="moving",
      extent=((1.7, 1.3), (2.4, 1.8)),
      reference=7.0,
      level_db=-13.0,
      drawing="a motorbike with two wheels that turn",
    ),
    "train": Thing(
      kind="moving",
      extent=((14.0, 2.6), (20.0, 3.6)),
      reference=14.0,
      level_db=-14.0,
      drawing="a locomotive and wagons as long as the box; the joints of the "
      "rails sound at its contacts",
    ),
    "plane": Thing(
      kind="moving",
      extent=((10.0, 4.0), (18.0, 7.0)),
      reference=50.0,
      level_db=-14.0,
      drawing="a plane seen from below that shrinks as it flies away",
    ),
    "siren": Thing(
      kind="moving",
      extent=((3.4, 1.8), (4.8, 2.6)),
      reference=9.0,
      level_db=-16.0,
      off_screen=0.15,
      drawing="a van with two wheels; a lamp in the top 0.15 of the box blinks "
      "while it sounds",
    ),
    "rain": Thing(
      kind="ambient",
      extent=((_INFINITE, _INFINITE), (_INFINITE, _INFINITE)),
      reference=5.0,
      level_db=-24.0,
      drawing="streaks over the whole frame, more with size",
    ),
    "stream": Thing(
      kind="ambient",
      extent=((_INFINITE, 0.7), (_INFINITE, 1.4)),
      reference=4.0,
      level_db=-24.0,
      off_screen=0.4,
      drawing="a band of flowing water from side to side",
    ),
    "bell": Thing(
      kind="impact",
      materials=("metal",),
      extent=((0.7, 1.0), (1.3, 1.8)),
      reference=4.0,
      level_db=-18.0,
      off_screen=0.6,
      drawing="a bell hung from the top of its box that swings to one side "
      "after a contact",
    ),
    "wind": Thing(
      kind="ambient",
      extent=((1.0, 1.0), (1.0, 1.0)),
      reference=5.0,
      level_db=-25.0,
      off_screen=1.0,
      drawing="nothing",
    ),
    "birds": Thing(
      kind="ambient",
      extent=((1.0, 1.0), (1.0, 1.0)),
      reference=8.0,
      level_db=-25.0,
      off_screen=1.0,
      drawing="nothing",
    ),
    "crickets": Thing(
      kind="ambient",
      extent=((1.0, 1.0), (1.0, 1.0)),
      reference=5.0,
      level_db=-30.0,
      off_screen=1.0,
      drawing="nothing",
    ),
  }
)

# What only the split "combination" shows: a material under an action, and two
# things at once. Each part alone is seen in training.
HELD_OUT_MATERIALS = frozenset(
  {
    ("ball", "glass"),
    ("block", "plastic"),
    ("stick", "stone"),
    ("footsteps", "metal"),
    ("knocking", "metal"),
  }
)
HELD_OUT_PAIRS = frozenset(
  {
    frozenset({"ball", "siren"}),
    frozenset({"clock", "rain"}),
    frozenset({"footsteps", "bell"}),
    frozenset({"hammer", "train"}),
  }
)


def is_held_out(cast: Iterable[tuple[str, str | None]]) -> bool:
  """Whether a cast of (thing, material) holds what training never shows."""
  cast = set(cast)
  names = {name for name, _ in cast}
  return bool(cast & HELD_OUT_MATERIALS) or any(
    pair <= names for pair in HELD_OUT_PAIRS
  )
