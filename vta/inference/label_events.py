"""Events by name: when does each label sound, from pictures alone.

Smooth-Foley's label-guided timestamps (papers.md 5.1): similarities of frames
with labels, cut at 0.5; ours are the gaps that are closed and the blips that
are dropped (5.3; `Events.tidied`). As Python:

  reader = label_events.LabelReader("runs/labels/release")
  seen = reader.look("clip.mp4", 10.0)
  each = label_events.events(reader.similarity(seen, ["rain", "car"]), 10.0)
  label_events.union(each)

A release that sees by CLIP finds both towers in its folder clip, which is a
public folder (laion/CLIP-ViT-H-14-laion2B-s32B-b79K), or a link to it. One with
a frame encoder of its own reads labels by MiniLM.
"""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, UInt8

from vta import errors
from vta.conditioning import frames as frames_lib
from vta.encoders import clip, frame_encoder, text
from vta.interop import release as release_lib
from vta.media import read
from vta.models import label_similarity
from vta.signals import events as events_lib
from vta.signals import objects as objects_lib
from vta.training import system

FOLDER = "clip"
PRESET = "label_similarity"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Seen:
  """What a reader's eyes make of a clip, before any label is named.

  Attributes:
    times: stamps of the frames, s.
    features: of each.
  """

  times: Float[np.ndarray, "f"]
  features: Float[np.ndarray, "f d"]


class LabelReader:
  """A trained similarity, with its eyes and what reads the labels."""

  def __init__(self, folder: str | os.PathLike):
    """Reads a release of the task "label_similarity".

    Raises:
      InputError: naming what is missing or does not fit.
    """
    release = release_lib.load(folder)
    path = release.folder / "config.json"
    release.require_preset(PRESET)
    own = "frames" in release.config
    try:
      sizes = label_similarity.LabelSimilarityConfig(
        **release.config["predictor"]
      )
      self._rate = float(release.config["frame_rate"])
      if own:
        frames = frames_lib.FrameEncoderConfig(
          **system.tuples(release.config["frames"])
        )
        side = int(release.config["frame_size"])
    except (KeyError, TypeError, ValueError) as error:
      raise errors.InputError(
        path,
        f"describes no label similarity: {type(error).__name__}: {error}",
      ) from None
    network = label_similarity.LabelSimilarity(sizes)
    like = jax.eval_shape(
      network.init,
      jax.random.key(0),
      jnp.zeros((1, 1, sizes.frame_width)),
      jnp.zeros((1, 1, sizes.label_width)),
    )
    self._params = release.part("predictor", like["params"])
    self._apply = jax.jit(network.apply)
    if own:
      self._eyes = _OwnEyes(release, frames, side)
    else:
      self._eyes = _ClipEyes(release.folder / FOLDER)
    found = (self._eyes.frame_width, self._eyes.label_width)
    if found != (sizes.frame_width, sizes.label_width):
      raise errors.InputError(
        path,
        f"predictor: is for frames and labels {sizes.frame_width} and "
        f"{sizes.label_width} wide, they are {found[0]} and {found[1]}",
      )

  def look(self, path: str | os.PathLike, duration: float) -> Seen:
    """Sees a video of `duration` seconds, once for all labels.

    Raises:
      InputError: the video cannot be read.
    """
    times = np.arange(max(math.ceil(duration * self._rate - 1e-6), 1))
    times = times / self._rate
    return self.see(self._eyes.read_frames(path, times))

  def see(self, frames: read.Frames) -> Seen:
    """The same of frames as the eyes want them, whatever their times."""
    return Seen(times=frames.times, features=self._eyes.encode(frames.images))

  def similarity(
    self, seen: Seen, labels: Sequence[str]
  ) -> objects_lib.Objects:
    """How surely each label sounds at each frame, 0 to 1.

    Args:
      seen: the clip.
      labels: at least one, each once.
    """
    named = self._eyes.read(labels)
    made = self._apply(
      {"params": self._params}, seen.features[None], named[None]
    )
    return objects_lib.Objects(
      labels=tuple(labels),
      times=seen.times,
      probability=np.asarray(jax.nn.sigmoid(made[0]), np.float64),
    )


def events(
  similarity: objects_lib.Objects, duration: float | int
) -> dict[str, events_lib.Events]:
  """When each label of a clip of `duration` seconds sounds (papers.md 5.1)."""
  return {
    label: similarity.events(label, duration=duration).tidied()
    for label in similarity.labels
  }


def union(each: Mapping[str, events_lib.Events]) -> events_lib.Events:
  """When any of the labels sounds."""
  intervals = [np.zeros((0, 2)), *(one.intervals for one in each.values())]
  return events_lib.merged(np.concatenate(intervals), gap=events_lib.MERGE_GAP)


class _OwnEyes:
  """A predictor's frame encoder, and MiniLM."""

  def __init__(
    self,
    release: release_lib.Release,
    config: frames_lib.FrameEncoderConfig,
    side: int,
  ):
    self._side = side
    encoder = frames_lib.FrameEncoder(config)
    blank = jnp.zeros((1, 1, side, side), jnp.uint8)
    like = jax.eval_shape(
      encoder.init, jax.random.key(0), jnp.stack([blank] * 3, -1), blank
    )
    params = release.part("frame_encoder", like["params"])
    self._frames = frame_encoder.FrameEncoder(config, params)
    self._texts = text.TextEncoder.load()
    self.frame_width, self.label_width = config.features, self._texts.width

  def read_frames(
    self, path: str | os.PathLike, times: Float[np.ndarray, "f"]
  ) -> read.Frames:
    side = self._side
    return read.read_frames(path, times=times, height=side, width=side)

  def encode(
    self, images: UInt8[np.ndarray, "f h w 3"]
  ) -> Float[np.ndarray, "f d"]:
    return self._frames.encode(images)

  def read(self, labels: Sequence[str]) -> Float[np.ndarray, "k e"]:
    return self._texts.encode(labels).pooled


class _ClipEyes:
  """Both towers of one CLIP."""

  def __init__(self, folder: os.PathLike):
    self._frames = clip.ImageEncoder.load(folder)
    self._texts = clip.TextEncoder.load(folder)
    self.frame_width = self._frames.tower.config.projection_dim
    self.label_width = self._texts.tower.config.projection_dim

  def read_frames(
    self, path: str | os.PathLike, times: Float[np.ndarray, "f"]
  ) -> read.Frames:
    info = read.probe(path)
    # As small as the tower's own processing makes them: it keeps the shape.
    scale = self._frames.processor.size / min(info.height, info.width)
    height, width = (round(scale * s) for s in (info.height, info.width))
    return read.read_frames(path, times=times, height=height, width=width)

  def encode(
    self, images: UInt8[np.ndarray, "f h w 3"]
  ) -> Float[np.ndarray, "f d"]:
    return self._frames.encode(images).projected

  def read(self, labels: Sequence[str]) -> Float[np.ndarray, "k e"]:
    return self._texts.encode(labels).projected
