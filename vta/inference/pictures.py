"""The frame encoder of a predictor's release, by its folder."""

from __future__ import annotations

import os

from vta.conditioning import frames as frames_lib
from vta.encoders import frame_encoder
from vta.interop import release as release_lib
from vta.training import system

_PART = "frame_encoder"


class Pictures:
  """The frame encoder of a release of configs/predictor.py.

  Attributes:
    encode: frames to pictures; see `frame_encoder.FrameEncoder.encode`.
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
    release.require_preset("predictor")
    config = frames_lib.FrameEncoderConfig(
      **system.tuples(release.config["frames"])
    )
    params = release.require(_PART)
    self.encode = frame_encoder.FrameEncoder(config, params).encode
    self.digest = release_lib.digest(params)
    self.tower = config.tower
    self.frame_rate = release.config["clip"]["frame_rate"]
    self.frame_size = release.config["clip"]["frame_size"]
