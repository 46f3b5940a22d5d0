"""Loudness from a silent clip by Tri-Ergon's LUFS predictor (papers.md 3.3).

The predictor is trained on what DINOv2 sees (configs/lufs_predictor.py). That
tower is no part of it; it is read from the release's folder dinov2, which is a
public folder (facebook/dinov2-base), or a link to it. The whole clip is looked
at at once, as in the paper.
"""

from __future__ import annotations

import os

import jax
import jax.numpy as jnp
import numpy as np

from vta import errors
from vta.encoders import dinov2
from vta.interop import release as release_lib
from vta.media import read
from vta.models import lufs_predictor
from vta.signals import loudness as loudness_lib
from vta.signals import timing
from vta.training import system

FOLDER = "dinov2"


class LufsReader:
  """A trained predictor and its tower."""

  def __init__(self, folder: str | os.PathLike):
    """Reads a release of the task "lufs_predictor".

    Raises:
      InputError: naming what is missing or does not fit.
    """
    release = release_lib.load(folder)
    path = release.folder / "config.json"
    release.require_preset("lufs_predictor")
    try:
      sizes = lufs_predictor.LufsPredictorConfig(
        **system.tuples(release.config["predictor"])
      )
    except (KeyError, TypeError, ValueError) as error:
      raise errors.InputError(
        path, f"describes no LUFS predictor: {type(error).__name__}: {error}"
      ) from None
    predictor = lufs_predictor.LufsPredictor(sizes)
    like = jax.eval_shape(
      predictor.init,
      jax.random.key(0),
      jnp.zeros((1, 1, sizes.width)),
      jnp.ones((1, 1), bool),
    )
    self._params = release.part("predictor", like["params"])
    self._apply = jax.jit(predictor.apply)
    self._tower = dinov2.Encoder.load(release.folder / FOLDER)
    width = self._tower.tower.config.hidden_size
    if width != sizes.width:
      raise errors.InputError(
        release.folder / FOLDER,
        f"is {width} wide, the predictor wants {sizes.width}",
      )

  def predict(
    self, path: str | os.PathLike, duration: float
  ) -> loudness_lib.Loudness:
    """The curve of a video of `duration` seconds, 6 values a second.

    Raises:
      InputError: the video cannot be read.
    """
    rate = lufs_predictor.FRAME_RATE
    count = min(max(int(duration * rate), 1), lufs_predictor.MAX_FRAMES)
    times = timing.centres(count, rate)
    info = read.probe(path)
    # As small as the tower's own processing makes them: it keeps the shape.
    scale = self._tower.processor.size / min(info.height, info.width)
    height, width = (round(scale * s) for s in (info.height, info.width))
    frames = read.read_frames(path, times=times, height=height, width=width)
    looks = self._tower.encode(frames.images).pooled[None]
    made = self._apply(
      {"params": self._params}, looks, np.ones((1, count), bool)
    )
    lufs = loudness_lib.from_unit(np.asarray(made[0], np.float64))
    return loudness_lib.Loudness(times=times, lufs=lufs)
