"""Surfaces: what each material looks like, on a ball, a block or a vessel.

Everything here is made once per scene with NumPy; frames only paste it.
Colours are floats 0..1 until the last step.
"""

from __future__ import annotations

import colorsys

import numpy as np
from jaxtyping import Float
from PIL import Image

from vta.data.yard.pen import Sprite
from vta.data.yard.scene import HORIZON, Background, Colour

Surface = Float[np.ndarray, "h w 3"]
Plane = Float[np.ndarray, "h w"]

# Base colour, and how much of a source's own colour mixes into it.
_PALETTE: dict[str, tuple[Colour, float]] = {
  "wood": ((156, 98, 48), 0.15),
  "metal": ((150, 160, 178), 0.12),
  "glass": ((165, 232, 240), 0.12),
  "stone": ((118, 114, 108), 0.12),
  "plastic": ((230, 60, 60), 0.95),
  "drum skin": ((240, 228, 200), 0.05),
  "gravel": ((150, 134, 112), 0.08),
  "snow": ((242, 247, 252), 0.02),
}


def _grid(height: int, width: int) -> tuple[Plane, Plane]:
  """Pixel centres (u, v), from -1 at the left or top to 1."""
  u = (np.arange(width) + 0.5) * 2.0 / width - 1.0
  v = (np.arange(height) + 0.5) * 2.0 / height - 1.0
  return np.meshgrid(u, v)


def noise(
  rng: np.random.Generator,
  height: int,
  width: int,
  cells: tuple[int, int],
  *,
  smooth: bool = True,
) -> Plane:
  """Value noise in 0..1 over a lattice of cells (down, across)."""
  lattice = rng.random((cells[0] + 1, cells[1] + 1), dtype=np.float32)
  how = Image.Resampling.BICUBIC if smooth else Image.Resampling.NEAREST
  grown = Image.fromarray(lattice).resize((width, height), how)
  return np.asarray(grown).astype(np.float64)


def _vivid(colour: Colour) -> Colour:
  """The same hue, bright and saturated: no grey or black plastic."""
  hue, saturation, value = colorsys.rgb_to_hsv(*(c / 255.0 for c in colour))
  rgb = colorsys.hsv_to_rgb(hue, max(saturation, 0.8), max(value, 0.85))
  red, green, blue = (int(255.0 * c) for c in rgb)
  return red, green, blue


def material(
  name: str, colour: Colour, rng: np.random.Generator, side: int
) -> Surface:
  """A flat square of a material, evenly lit."""
  base, share = _PALETTE[name]
  if name == "plastic":
    colour = _vivid(colour)
  mixed = (1.0 - share) * np.array(base) + share * np.array(colour)
  _, v = _grid(side, side)

  def lattice(down: int, across: int, smooth: bool = True) -> Plane:
    return noise(rng, side, side, (down, across), smooth=smooth)

  match name:
    case "wood":  # rings cut lengthwise: wavy dark lines
      rings = np.sin(22.0 * v + 9.0 * lattice(3, 2))
      gain = 0.95 + 0.22 * rings + 0.12 * (lattice(28, 3) - 0.5)
    case "metal":  # brushed, with the reflection of a bright window
      gain = 0.95 + 0.28 * np.sin(5.0 * v + 2.0) + 0.16 * (lattice(40, 1) - 0.5)
    case "glass":
      gain = 1.0 + 0.08 * (lattice(2, 2) - 0.5)
    case "stone":
      speckle = lattice(20, 20, smooth=False) - 0.5
      gain = 0.95 + 0.55 * (lattice(5, 5) - 0.5) + 0.5 * speckle
    case "plastic":
      gain = np.full((side, side), 1.0)
    case "drum skin":
      gain = 0.98 + 0.06 * (lattice(6, 6) - 0.5)
    case "gravel":
      gain = 0.95 + 1.0 * (lattice(12, 12, smooth=False) - 0.5)
    case "snow":
      gain = 1.0 - 0.1 * lattice(7, 7)
  return np.clip(mixed[None, None] * gain[..., None] / 255.0, 0.0, 1.0)


def _opacity(name: str) -> float:
  return 0.55 if name == "glass" else 1.0


def sprite(surface: Surface, alpha: Plane) -> Sprite:
  """Rounds a surface and its opacity to a picture."""
  pixels = np.concatenate([surface, alpha[..., None]], axis=-1)
  return Sprite(
    Image.fromarray(
      np.round(255.0 * np.clip(pixels, 0.0, 1.0)).astype(np.uint8), "RGBA"
    )
  )


def flat(
  name: str, colour: Colour, rng: np.random.Generator, side: int
) -> Sprite:
  """A sheet of the material; a pane of glass shows slanting reflections."""
  surface = material(name, colour, rng, side)
  if name == "glass":
    u, v = _grid(side, side)
    bright = np.sin(6.0 * (u + 0.7 * v)) > 0.55
    surface = np.clip(surface * (0.8 + 0.4 * bright)[..., None], 0.0, 1.0)
  return sprite(surface, np.ones((side, side)))


def strip(
  name: str, colour: Colour, rng: np.random.Generator, side: int
) -> Sprite:
  """Two equal periods of an endless strip of ground, its far edge lighter."""
  surface = material(name, colour, rng, side)[: max(side // 4, 1)]
  surface = np.concatenate([surface, surface], axis=1)
  fade = np.linspace(1.15, 0.8, len(surface))[:, None, None]
  return sprite(surface * fade, np.ones(surface.shape[:2]))


def log(
  name: str, colour: Colour, rng: np.random.Generator, side: int
) -> Sprite:
  """A round beam that lies from left to right, its cut end at the left."""
  u, v = _grid(side, side)
  end = np.hypot((u + 0.76) / 0.24, v)
  body = (u > -0.76) & (u < 0.76) & (np.abs(v) < 1.0)
  far = np.hypot((u - 0.76) / 0.24, v) < 1.0
  shade = 0.35 + 0.8 * np.sqrt(np.clip(1.0 - (v + 0.4) ** 2, 0.0, 1.0))
  if name == "metal":
    shade = shade * (0.8 + 0.45 * np.sin(7.0 * v))
  rings = 1.25 + 0.2 * np.sin(24.0 * end)
  shade = np.where(end < 1.0, rings, shade)
  if name == "metal":  # a pipe is hollow
    shade = np.where(end < 0.75, 0.25, shade)
  surface = material(name, colour, rng, side)
  alpha = (body | far | (end < 1.0)).astype(np.float64)
  return sprite(surface * shade[..., None], alpha)


def ball(
  name: str, colour: Colour, rng: np.random.Generator, side: int
) -> Sprite:
  """A sphere lit from the upper left; its highlight tells the material."""
  u, v = _grid(side, side)
  radius = np.hypot(u, v)
  front = np.sqrt(np.clip(1.0 - radius**2, 0.0, None))
  lit = np.clip(-0.45 * u - 0.55 * v + 0.7 * front, 0.0, None)
  shade = 0.42 + 0.7 * lit
  shine = np.clip((lit - 0.9) / 0.1, 0.0, 1.0)
  alpha = np.clip((1.0 - radius) * side / 2.0, 0.0, 1.0)
  surface = material(name, colour, rng, side)
  match name:
    case "metal":  # a sphere that mirrors sky, horizon and ground
      mirror = 0.75 + 0.5 * np.sin(5.5 * v + 1.5 * front)
      shade, shine = shade * mirror, 0.9 * shine
    case "glass":
      alpha = alpha * np.clip(0.3 + 0.65 * radius**3 + shine, 0.0, 1.0)
      shade = 0.85 + 0.25 * radius**4
    case "plastic":
      shine = 0.75 * shine
    case _:
      shine = 0.12 * shine
  lighted = surface * shade[..., None]
  return sprite(lighted + (1.0 - lighted) * shine[..., None], alpha)


def block(
  name: str, colour: Colour, rng: np.random.Generator, side: int
) -> Sprite:
  """A box seen from a little above: a front, a lighter top, a darker end."""
  x, y = (0.5 + 0.5 * axis for axis in _grid(side, side))
  depth = 0.2
  on_front = (x < 1.0 - depth) & (y > depth)
  on_top = (y <= depth) & (x >= depth - y) & (x <= 1.0 - y)
  on_end = (x >= 1.0 - depth) & (y >= 1.0 - x) & (y <= 2.0 - depth - x)
  surface = material(name, colour, rng, side)
  shade = np.where(on_top, 1.3, np.where(on_end, 0.55, 0.92))
  edge = (np.abs(y - depth) < 0.02) & (x < 1.0 - depth)
  edge |= (np.abs(x - 1.0 + depth) < 0.02) & (y > depth)
  shade = np.where(edge, 1.4, shade)
  if name in ("metal", "glass", "plastic"):
    streak = np.abs(x - 0.55 + 0.6 * (y - 0.5)) < (
      0.09 if name == "plastic" else 0.14
    )
    shade = np.where(streak & on_front, shade * 1.35, shade)
  alpha = (on_front | on_top | on_end) * _opacity(name)
  alpha = np.where(edge & (alpha > 0.0), 1.0, alpha)
  return sprite(surface * shade[..., None], alpha)


def vessel(
  name: str,
  colour: Colour,
  rng: np.random.Generator,
  side: int,
  *,
  foot: float,
  lid: float = 0.28,
) -> Sprite:
  """A round body with a flat top: drum, pot, jar, bucket, log, boulder.

  Args:
    foot: width of its foot, where its top is 1.
    lid: height of the ellipse that is its top; the ellipse's middle is struck.
  """
  u, v = _grid(side, side)
  y = 0.5 + 0.5 * v
  half = 1.0 + (foot - 1.0) * np.clip(y, 0.0, 1.0)
  across = u / half
  # The bottom rim is as round as the lid.
  bottom = 1.0 - 0.5 * lid * (1.0 - np.sqrt(np.clip(1.0 - across**2, 0.0, 1.0)))
  on_body = (np.abs(across) < 1.0) & (y > 0.5 * lid) & (y < bottom)
  on_lid = u**2 + ((y - 0.5 * lid) / (0.5 * lid)) ** 2 < 1.0
  skin = name == "drum skin"
  surface = material("plastic" if skin else name, colour, rng, side)
  shade = 0.5 + 0.6 * np.sqrt(np.clip(1.0 - (across + 0.35) ** 2, 0.0, 1.0))
  if name in ("metal", "glass", "plastic"):
    shade = shade + 0.5 * np.exp(-(((across + 0.45) / 0.12) ** 2))
  if name == "metal":
    shade = shade * (0.85 + 0.35 * np.sin(9.0 * across))
  if skin:  # the shell's hoops and a cream head
    hoop = (np.abs(y - bottom + 0.08) < 0.05) | (y < 0.5 * lid + 0.1 + 0.1)
    surface = np.where(hoop[..., None], 0.85, surface)
    head = material(name, colour, rng, side)
    surface = np.where(on_lid[..., None], head, surface)
  shade = np.where(on_lid, 1.0 if skin else 1.2, shade)
  inside = (u / 0.86) ** 2 + ((y - 0.5 * lid) / (0.4 * lid)) ** 2 < 1.0
  if not skin:
    shade = np.where(on_lid & inside, 1.0, shade)
  alpha = (on_body | on_lid) * _opacity(name)
  if name == "glass":
    alpha = np.where(on_lid & ~inside, 0.9, alpha)
    alpha = np.where(on_body, 0.35 + 0.5 * np.abs(across) ** 4, alpha)
  return sprite(surface * shade[..., None], alpha)


def _muted(colour: Colour) -> Float[np.ndarray, "1 1 3"]:
  """Half way to grey, so that what stands in front stands out."""
  value = np.array(colour)[None, None] / 255.0
  return 0.5 * value + 0.5 * (0.15 + 0.7 * value.mean())


def backdrop(background: Background, side: int, margin: float) -> Image.Image:
  """What is behind everything, wider than the frame by `margin` all round.

  Args:
    background: its kind, colours and seed.
    side: pixels of the whole picture.
    margin: in frame widths, for the camera to move in.
  """
  rng = np.random.default_rng(background.seed)
  first, second, detail = (_muted(colour) for colour in background.colours)
  u, v = _grid(side, side)
  x, y = (0.5 + (0.5 + margin) * axis for axis in (u, v))

  def mix(a, b, share: Plane):
    return a + (b - a) * share[..., None]

  match background.kind:
    case "gradient":
      share = np.clip(0.8 * y + 0.2 * x, 0.0, 1.0)
      surface = mix(first, second, share)
      surface = mix(surface, detail, 0.15 * noise(rng, side, side, (4, 4)))
    case "noise":
      surface = mix(first, second, noise(rng, side, side, (4, 4)))
      fine = noise(rng, side, side, (24, 24))
      surface = mix(surface, detail, 0.35 * fine)
    case "tiles":
      across = int(rng.integers(4, 9))
      column, row = x * across, y * across
      checker = (np.floor(column) + np.floor(row)) % 2.0
      surface = mix(first, second, 0.25 + 0.3 * checker)
      grout = np.minimum(column % 1.0, row % 1.0) < 0.08
      surface = mix(surface, detail, 0.6 * grout)
    case "horizon":
      height = np.clip(y / HORIZON, 0.0, 1.0)
      sky = mix(first, np.ones((1, 1, 3)), 0.45 * height**2)
      clouds = noise(rng, side, side, (7, 3))
      sky = mix(sky, np.ones((1, 1, 3)), np.clip(2.0 * clouds - 1.2, 0.0, 0.5))
      below = np.clip((y - HORIZON) / (1.0 - HORIZON), 0.0, None)
      ground = mix(second, detail, 0.6 * noise(rng, side, side, (30, 8)))
      ground = ground * (0.8 + 0.25 * below)[..., None]
      surface = np.where((y < HORIZON)[..., None], sky, ground)
  pixels = np.round(255.0 * np.clip(surface, 0.0, 1.0)).astype(np.uint8)
  return Image.fromarray(pixels, "RGB")
