"""A trained frame encoder as a frozen one: pictures of a whole clip (ours).

What a predictor's release holds (configs/predictor.py). data_prep.see writes
what it makes into records, and what learns on those sees videos through it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jaxtyping import Float, UInt8

from vta.conditioning import frames as frames_lib

# Clips are padded to a multiple of this many frames: few programs to compile.
_BUCKET = 32


class FrameEncoder:
  """The frozen encoder, compiled for as long as it lives."""

  def __init__(
    self, config: frames_lib.FrameEncoderConfig, params: Mapping[str, Any]
  ):
    network = frames_lib.FrameEncoder(config)
    self._params = jax.device_put(params)
    self._apply = jax.jit(
      lambda params, *seen: network.apply({"params": params}, *seen)
    )

  def encode(
    self,
    frames: UInt8[np.ndarray, "f h w 3"],
    mask: UInt8[np.ndarray, "f h w"] | None = None,
    tower: Float[np.ndarray, "f e"] | None = None,
  ) -> Float[np.ndarray, "f d"]:
    """A vector a frame, each of a few frames around it.

    Args:
      frames: of a whole clip, at the rate and size that it was trained on.
      mask: 255 where the picture may be seen; None shows all of it.
      tower: what a frozen tower says of each frame, where the config has one.
    """
    if mask is None:
      mask = np.full(frames.shape[:3], 255, np.uint8)

    def batch(array):
      # Copies of the last frame, as `inputs.assemble` pads a clip.
      pad = ((0, -len(frames) % _BUCKET), *[(0, 0)] * (array.ndim - 1))
      return np.pad(array, pad, mode="edge")[None]

    seen = self._apply(
      self._params,
      batch(frames),
      batch(mask),
      None if tower is None else batch(tower.astype(np.float32)),
    )
    return np.asarray(seen)[0, : len(frames)]
