"""Loudness and events from a silent clip, by the heads of a frame encoder.

The heads are those that configs/predictor.py trains (models/predictor.py). A
clip is seen in windows as `generate` denoises it in, and where they overlap
the predictions are averaged.
"""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vta import errors
from vta.conditioning import frames as frames_lib
from vta.conditioning import inputs as inputs_lib
from vta.encoders import picture as picture_lib
from vta.inference import windows
from vta.interop import release as release_lib
from vta.interop import trees
from vta.media import read
from vta.models import predictor
from vta.signals import events as events_lib
from vta.signals import loudness as loudness_lib
from vta.signals import timing
from vta.training import system

PART = "heads"
_ENCODER = "frame_encoder"
# Something sounds where this much of a latent is expected to. What best fits in
# IoU lies below a half, as the fit is imperfect: on 24 validation clips of the
# yard a release of configs/predictor.py had 0.55 here and 0.49 at a half.
_SOUNDING = 0.35
# Between latents, 46 ms apart, the line through their shares tells the time.
_FINE = 200  # Hz


@dataclasses.dataclass(frozen=True, kw_only=True)
class Expected:
  """What a clip makes one expect to hear."""

  loudness: loudness_lib.Loudness
  events: events_lib.Events


class Heads:
  """A release's frame encoder and the heads on it."""

  def __init__(self, folder: str | os.PathLike):
    """Reads a release that holds "heads".

    Its frame encoder is a part of its own, as in what configs/predictor.py
    trains, or its conditioner's.

    Raises:
      InputError: naming what is missing or does not fit.
    """
    release = release_lib.load(folder)
    heads = release.require(PART)
    alone = _ENCODER in release.parts
    held = release.require(_ENCODER if alone else "conditioner")
    try:
      config, self._geometry, self._frame_rate = _sizes(release.config, alone)
      held = {_ENCODER: held} if alone else {_ENCODER: held[_ENCODER]}
      channels = heads["latents"]["kernel"].shape[1]
    except (KeyError, TypeError, ValueError) as error:
      raise errors.InputError(
        release.folder / "config.json",
        f"describes no predictor: {type(error).__name__}: {error}",
      ) from None
    network = predictor.Predictor(config, channels)
    # In the order of the network's arguments.
    self._read = ("frames", "mask", "frame_left", "frame_fraction")
    if config.tower:
      self._read += ("frame_features",)
    self._tower = picture_lib.PictureEncoder.load() if config.tower else None
    like = dict(
      jax.eval_shape(
        network.init, jax.random.key(0), *self._arrays({}, 0.0, 1.0)
      )["params"]
    )
    wrong = trees.mismatches({_ENCODER: like.pop(_ENCODER)}, held)
    if wrong:
      raise errors.InputError(
        release.folder, f"does not fit its config: {trees.summary(wrong)}"
      )
    self._params = {**release.part(PART, like), **held}
    self._apply = jax.jit(
      lambda params, *arrays: network.apply({"params": params}, *arrays)
    )

  def predict(self, path: str | os.PathLike, duration: float) -> Expected:
    """What a video of `duration` seconds should sound like.

    Raises:
      InputError: the video cannot be read.
    """
    size = self._geometry.frame_size
    times = np.arange(math.ceil(duration * self._frame_rate)) / self._frame_rate
    frames = read.read_frames(path, times=times, height=size, width=size)
    return self.expect(frames, duration)

  def expect(self, frames: read.Frames, duration: float) -> Expected:
    """The same of frames at the encoder's own rate and size."""
    rate = self._geometry.latent_rate
    seen = {"frames": frames.images, "frame_times": frames.times}
    if self._tower is not None:
      seen["frame_features"] = self._tower.encode(frames.images, None)
    count = max(math.ceil(duration * rate - 1e-6), 1)
    cover = windows.cover(count, size=self._geometry.latents)
    made = [
      self._apply(self._params, *self._arrays(seen, first / rate, duration))
      for first in cover.starts
    ]

    def join(parts):
      whole = cover.join(jnp.concatenate(parts))
      return np.asarray(whole[0, :count], np.float64)

    at = timing.centres(count, rate)
    lufs = loudness_lib.from_unit(join([one.loudness for one in made]))
    sounding = join([jax.nn.sigmoid(one.events) for one in made])[:, 0]
    edges = loudness_lib.block_edges(round(duration * timing.SAMPLE_RATE))
    blocks = (edges[:-1] + edges[1:]) / (2 * timing.SAMPLE_RATE)
    fine = timing.centres(math.ceil(duration * _FINE), _FINE)
    sounding = timing.interpolate(sounding, at, fine) > _SOUNDING
    return Expected(
      loudness=loudness_lib.Loudness(times=at, lufs=lufs).resample(blocks),
      events=events_lib.from_binary(sounding, fine, duration=duration),
    )

  def _arrays(
    self, seen: Mapping[str, Any], start: float, total: float
  ) -> list[jax.Array]:
    """The network's arguments for the window that begins at `start`."""
    given = inputs_lib.assemble(
      self._geometry, start=start, total=total, **seen
    )
    return [jnp.asarray(given[name])[None] for name in self._read]


def _sizes(
  config: Mapping[str, Any], alone: bool
) -> tuple[frames_lib.FrameEncoderConfig, inputs_lib.Geometry, float]:
  """Of the frame encoder and of what it sees, and its frames a second."""
  clip = config["clip"]
  sizes = config["frames"] if alone else config["conditioner"]["frames"]
  encoder = frames_lib.FrameEncoderConfig(**system.tuples(sizes))
  rate = clip.get("latent_rate")
  if rate is None:
    hop = system.codec(config["codec"]).config.hop
    rate = timing.SAMPLE_RATE / hop
  geometry = inputs_lib.geometry(
    clip["window"],
    latent_rate=rate,
    frame_rate=clip["frame_rate"],
    frame_size=clip["frame_size"],
    tower=encoder.tower,
  )
  return encoder, geometry, clip["frame_rate"]
