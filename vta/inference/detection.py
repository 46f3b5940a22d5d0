"""Events from a silent clip: a trained event detector, on clips of any length.

The detector learned from stretches of 2 s. A longer clip is seen in stretches
of that length, each sharing a quarter with its neighbours, and where they
overlap their logits are averaged (`vta.inference.windows`; ours). Past the
clip's end the last frame is held, as in training.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, PyTree, UInt8

from vta import errors
from vta.data import pictures
from vta.encoders import batches
from vta.inference import windows
from vta.interop import event_detector as names
from vta.interop import release as release_lib
from vta.models import event_detector
from vta.signals import events as events_lib
from vta.signals import timing
from vta.training import system

# What the public checkpoints were trained on (papers.md 2.1 (ii)).
_PUBLIC_CLIP = {"frame_rate": 15, "frames": 30, "resize": 128, "size": 112}
# Stretches at once: 0.7 GiB of activations at full size.
_AT_ONCE = 4


class EventDetector:
  """Frames to events."""

  def __init__(
    self,
    sizes: event_detector.EventDetectorConfig,
    params: PyTree,
    *,
    clip: Mapping[str, Any],
  ):
    """Takes parameters as they are.

    Args:
      sizes: of the network.
      params: its parameters.
      clip: "frame_rate" of what it sees, "frames" of a stretch, and the sides
        "resize" and "size" of the squares that pictures are scaled to and
        that are cut from their middle.
    """
    self._clip = clip
    self._params = jax.device_put(params)
    network = event_detector.Network(sizes)
    self._apply = jax.jit(
      lambda params, frames: network.apply(
        {"params": params}, frames, training=False
      )
    )

  @classmethod
  def load(cls, folder: str | os.PathLike) -> EventDetector:
    """Reads a release of the task "event_detector".

    Raises:
      InputError: naming the file and what is wrong with it.
    """
    release = release_lib.load(folder)
    path = release.folder / "config.json"
    release.require_preset("event_detector")
    try:
      sizes = event_detector.EventDetectorConfig(
        **system.tuples(release.config["predictor"])
      )
      clip = {name: release.config["clip"][name] for name in _PUBLIC_CLIP}
    except (KeyError, TypeError, ValueError) as error:
      raise errors.InputError(
        path, f"describes no event detector: {error}"
      ) from None
    like = names.like(sizes)
    return cls(sizes, release.part("predictor", like), clip=clip)

  @classmethod
  def load_checkpoint(cls, path: str | os.PathLike) -> EventDetector:
    """Reads CondFoleyGen's or FoleyCrafter's checkpoint, as it is.

    Raises:
      InputError: it cannot be read, is a trunk without a head, or naming every
        tensor that does not fit.
    """
    sizes = event_detector.EventDetectorConfig()
    params = names.read(path, sizes)
    if params.keys() != names.like(sizes).keys():
      raise errors.InputError(
        path, "holds a trunk without a head: train one, with it as trunk_from"
      )
    return cls(sizes, params, clip=_PUBLIC_CLIP)

  def predict(
    self,
    frames: UInt8[np.ndarray, "f h w 3"],
    times: Float[np.ndarray, "f"],
    duration: float | int,
  ) -> events_lib.Events:
    """When something sounds: where the probability is above a half.

    `Events.tidied` closes the gaps and drops the blips of what comes out.

    Args:
      frames: of any size and rate; what cannot sound may be made grey by
        `pictures.masked`.
      times: their stamps, s, increasing.
      duration: of the clip, s.
    """
    at, logits = self.logits(frames, times, duration)
    return events_lib.from_binary(logits > 0.0, at, duration=duration)

  def logits(
    self,
    frames: UInt8[np.ndarray, "f h w 3"],
    times: Float[np.ndarray, "f"],
    duration: float | int,
  ) -> tuple[Float[np.ndarray, "n"], Float[np.ndarray, "n"]]:
    """Times at the detector's own frame rate, s, and logits there."""
    rate, size = self._clip["frame_rate"], self._clip["frames"]
    if not len(frames) == len(times) > 0 or not 0.0 < duration < math.inf:
      raise ValueError(f"{len(frames)} frames in {duration} s")
    timing.check_increasing(times)
    at = np.arange(max(math.ceil(duration * rate - 1e-6), 1)) / rate
    cover = windows.cover(len(at), size=size)
    index = np.minimum(cover.index, len(at) - 1)
    seen = pictures.shown(times, at)
    made = []
    for first in range(0, len(index), _AT_ONCE):
      some = index[first : first + _AT_ONCE]
      rows = self._pictures(frames[seen[some.min() : some.max() + 1]])
      rows = rows[some - some.min()]
      padded = batches.pad(rows, batches.power_of_two(len(rows)))
      made.append(np.asarray(self._apply(self._params, padded))[: len(rows)])
    parts = jnp.asarray(np.concatenate(made))[..., None]
    return at, np.asarray(cover.join(parts))[0, : len(at), 0]

  def _pictures(
    self, frames: UInt8[np.ndarray, "f h w 3"]
  ) -> UInt8[np.ndarray, "f s s 3"]:
    frames = pictures.resize(frames, self._clip["resize"])
    return pictures.crop(frames, self._clip["size"])
