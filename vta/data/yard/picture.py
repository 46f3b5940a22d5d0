"""Frames of a scene: backdrop, shadows, figures from far to near, light.

Everything is drawn with Pillow on a canvas a few times the frame's size and
averaged down, so that edges are smooth and motion of a fraction of a pixel
shows. Backdrops, materials and light are prepared once per call. A frame is a
function of (scene, time, size): which other frames are asked for, and at what
rate, does not matter.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw

from vta.data.yard import figures, scenery, texture, traffic
from vta.data.yard.figures import Draw
from vta.data.yard.moment import moments
from vta.data.yard.pen import Pen
from vta.data.yard.scene import (
  Background,
  Camera,
  Distractor,
  Scene,
  Source,
  project,
)

Distract = Callable[[Distractor, Pen, float], None]

_SOURCES: Mapping[str, Callable[[Source, int], Draw]] = {
  "ball": figures.ball,
  "block": figures.block,
  "stick": figures.stick,
  "hammer": figures.hammer,
  "footsteps": figures.footsteps,
  "clock": figures.clock,
  "knocking": figures.knocking,
  "typing": figures.typing,
  "sawing": figures.sawing,
  "bell": figures.bell,
  "car": traffic.car,
  "motorbike": traffic.motorbike,
  "train": traffic.train,
  "plane": traffic.plane,
  "siren": traffic.siren,
  "rain": scenery.rain,
  "stream": scenery.stream,
}
_DISTRACTORS: Mapping[str, Distract] = {
  "bird": scenery.bird,
  "flag": scenery.flag,
  "balloon": scenery.balloon,
  "light": scenery.light,
}


class _Layer(NamedTuple):
  """One thing in front of the backdrop.

  Attributes:
    distance: of it at each frame, metres.
    paint: draws it at the frame of a number.
  """

  distance: list[float]
  paint: Callable[[int, Image.Image, ImageDraw.ImageDraw], None]


def frame_times(duration: float, rate: float) -> Float[np.ndarray, " f"]:
  """When a clip's frames are seen, seconds: the first at 0, none at the end."""
  return np.arange(max(1, math.ceil(duration * rate - 1e-6))) / rate


def render_frames(
  scene: Scene,
  *,
  rate: float = 15.0,
  size: int = 64,
  times: Float[np.ndarray, " f"] | None = None,
) -> UInt8[np.ndarray, "f size size 3"]:
  """The scene as its camera sees it.

  Args:
    scene: what happens.
    rate: frames per second over the whole clip, unless `times` are given.
    size: height and width in pixels.
    times: seconds from the clip's start, in any order.
  """
  if times is None:
    times = frame_times(scene.duration, rate)
  # 64 pixels need many samples each; a demonstration video has enough.
  canvas = size * (3 if size <= 96 else 2)
  backdrop = _backdrop(scene.background, scene.camera, times, canvas)
  layers = _layers(scene, times, canvas)
  frames = np.empty((len(times), size, size, 3), np.uint8)
  for f in range(len(times)):
    image = backdrop(f)
    draw = ImageDraw.Draw(image, "RGBA")
    far_to_near = functools.partial(_distance, f)
    for layer in sorted(layers, key=far_to_near, reverse=True):
      layer.paint(f, image, draw)
    frames[f] = np.asarray(image.reduce(canvas // size))
  gain = _light(scene.background, size)
  return np.minimum(frames * gain[None], 255.0).astype(np.uint8)


def _distance(f: int, layer: _Layer) -> float:
  return layer.distance[f]


def _backdrop(
  background: Background,
  camera: Camera,
  times: Float[np.ndarray, " f"],
  canvas: int,
) -> Callable[[int], Image.Image]:
  """What is behind everything, cut out as the camera moves."""
  reach = max(map(abs, (*camera.start, *camera.end))) + camera.shake
  margin = (0.5 + reach) / min(1.0, *camera.zoom) - 0.5
  side = math.ceil((1.0 + 2.0 * margin) * canvas)
  picture = texture.backdrop(background, side, margin)
  middle = np.full((len(times), 2), 0.5)
  offset = camera.transform(middle, times) - 0.5
  zoom = camera.magnification(times)[:, None]
  corners = 0.5 - (0.5 + offset) / zoom
  left_top = (corners + margin) / (1.0 + 2.0 * margin) * side
  across = (1.0 / zoom[:, 0] / (1.0 + 2.0 * margin) * side).tolist()
  left_top = np.clip(left_top, 0.0, None).tolist()

  def cut(f: int) -> Image.Image:
    left, top = left_top[f]
    right = min(left + across[f], side)
    bottom = min(top + across[f], side)
    # The canvas is finer than the frame, so the nearest sample is enough.
    return picture.resize(
      (canvas, canvas),
      Image.Resampling.NEAREST,
      box=(left, top, right, bottom),
    )

  return cut


def _layers(
  scene: Scene, times: Float[np.ndarray, " f"], canvas: int
) -> list[_Layer]:
  """All that can be seen; sources first, so that distractors may hide them."""
  layers = []
  for source in scene.sources:
    if source.on_screen:
      draw = _SOURCES[source.thing](source, max(canvas // 2, 64))
      states = moments(source, times)
      layers.append(_layer(scene, source, draw, states, times, canvas))
  for item in scene.distractors:
    draw = functools.partial(_DISTRACTORS[item.kind], item)
    layers.append(_layer(scene, item, draw, times.tolist(), times, canvas))
  return layers


def _layer(
  scene: Scene,
  item: Source | Distractor,
  draw: Callable[[Pen, Any], None],
  states: list,
  times: Float[np.ndarray, " f"],
  canvas: int,
) -> _Layer:
  """The layer of an item that `draw` shows in each of its states."""
  boxes = scene.box(item, times)
  # What is as wide as the world is as wide as the frame.
  for axis in (0, 1):
    if math.isinf(item.extent[axis]):
      boxes[:, axis], boxes[:, axis + 2] = 0.0, 1.0
  boxes = (canvas * boxes).tolist()
  shadows = _shadows(scene, item, times, canvas)

  def paint(f: int, image: Image.Image, on: ImageDraw.ImageDraw) -> None:
    if shadows:
      x, y, rx, ry, alpha = shadows[f]
      on.ellipse((x - rx, y - ry, x + rx, y + ry), fill=(0, 0, 0, int(alpha)))
    left, top, right, bottom = boxes[f]
    if right < 0.0 or bottom < 0.0 or left > canvas or top > canvas:
      return
    pen = Pen(
      image=image,
      draw=on,
      left=left,
      top=top,
      width=right - left,
      height=bottom - top,
    )
    draw(pen, states[f])

  return _Layer(scene.place(item, times).distance.tolist(), paint)


def _shadows(
  scene: Scene,
  item: Source | Distractor,
  times: Float[np.ndarray, " f"],
  canvas: int,
) -> list[list[float]]:
  """Ellipses on the ground, fainter the higher an item is above it.

  Returns:
    per frame (x, y, x radius, y radius, alpha), in canvas pixels and 0..255;
    empty for what fills the frame.
  """
  if any(map(math.isinf, item.extent)):
    return []
  points = item.route.at(times)
  height = points[:, 1] - 0.5 * item.extent[1]
  alpha = 110.0 * np.exp(-np.clip(height, 0.0, None) / 0.7)
  ground = project(points * np.array([[1.0, 0.0, 1.0]]))
  xy = scene.camera.transform(np.stack([ground.x, ground.y], -1), times)
  scale = ground.scale * scene.camera.magnification(times)
  rx = 0.5 * item.extent[0] * scale
  ry = np.minimum(0.25 * rx, 0.12 * scale)
  rows = np.stack([xy[:, 0], xy[:, 1], rx, ry], -1) * canvas
  return np.concatenate([rows, alpha[:, None]], axis=-1).tolist()


def _light(background: Background, size: int) -> Float[np.ndarray, "s s 3"]:
  """Gain of each pixel: how bright the day is, from where, and the lens."""
  axis = (np.arange(size, dtype=np.float32) + 0.5) / size - 0.5
  x, y = np.meshgrid(axis, axis)
  gradient = 1.0 + background.gradient[0] * x + background.gradient[1] * y
  vignette = 1.0 - background.vignette * 2.0 * (x**2 + y**2)
  gain = background.light * gradient * vignette
  return np.repeat(gain[..., None], 3, axis=-1).astype(np.float32)
