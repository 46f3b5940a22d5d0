"""A predictor's frame encoder on its own: clips of any length to pictures.

"Pictures" are what it makes of a clip's frames under the mask, one vector a
frame: what records hold in the frames' place once `data_prep.see` has been
over them.
"""

from __future__ import annotations

import os

import jax
import numpy as np
from jaxtyping import Float, UInt8

from vta import errors
from vta.conditioning import frames as frames_lib
from vta.interop import release as release_lib
from vta.training import system

_PART = "frame_encoder"
# Clips are padded to a multiple of this many frames: few programs to compile.
_BUCKET = 32


class Pictures:
  """The frame encoder of a release of configs/predictor.py.

  Attributes:
    digest: which one it is.
    tower: width of the tower's features that it wants of each frame, or 0.
    frame_rate, frame_size: what it was trained to see.
  """

  def __init__(self, folder: str | os.PathLike):
    """Loads the release.

    Raises:
      InputError: it is of another kind, or cannot be read.
    """
    release = release_lib.load(folder)
    if release.config.get("preset") != "predictor":
      raise errors.InputError(
        release.folder / "config.json",
        f"preset is {release.config.get('preset')!r}, not 'predictor'",
      )
    config = frames_lib.FrameEncoderConfig(
      **system.tuples(release.config["frames"])
    )
    params = release.require(_PART)
    encoder = frames_lib.FrameEncoder(config)
    self.digest = release_lib.digest(params)
    self.tower = config.tower
    self.frame_rate = release.config["clip"]["frame_rate"]
    self.frame_size = release.config["clip"]["frame_size"]
    self._encode = jax.jit(
      lambda *seen: encoder.apply({"params": params}, *seen)
    )

  def encode(
    self,
    frames: UInt8[np.ndarray, "f h w 3"],
    mask: UInt8[np.ndarray, "f h w"] | None = None,
    tower: Float[np.ndarray, "f e"] | None = None,
  ) -> Float[np.ndarray, "f v"]:
    """One vector a frame; without a mask all of the picture is seen."""
    if mask is None:
      mask = np.full(frames.shape[:3], 255, np.uint8)

    def batch(array):
      # Copies of the last frame, as `inputs.assemble` pads a clip.
      pad = ((0, -len(frames) % _BUCKET), *[(0, 0)] * (array.ndim - 1))
      return np.pad(array, pad, mode="edge")[None]

    seen = self._encode(
      batch(frames),
      batch(mask),
      None if tower is None else batch(tower.astype(np.float32)),
    )
    return np.asarray(seen)[0, : len(frames)]
