"""A job: one track of one clip, before any preset reads it."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
from jaxtyping import Float

from vta.encoders import vocabulary as vocabulary_lib
from vta.inference import windows
from vta.media import read
from vta.signals import cues

Row = Mapping[str, np.ndarray]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Job:
  """One track of one clip.

  Attributes:
    duration: seconds.
    frames: the clip's, as `Reader.read_frames` has them; None without a
      picture.
    track: what is asked for.
    seed: of the noise.
  """

  duration: float
  frames: read.Frames | None
  track: cues.Track
  seed: int


class Reader(Protocol):
  """What a preset makes of jobs; one class each, in a file of its name."""

  def frame_times(self, duration: float) -> Float[np.ndarray, "f"]:
    """When the preset wants to see the clip."""

  def read_frames(self, path: str | pathlib.Path, duration: float):
    """The clip's frames as the preset sees them: `read.Frames`."""

  def inputs(
    self, job: Job, cover: windows.Windows
  ) -> tuple[Sequence[Row], Sequence[Row]]:
    """Of every window: the inputs, and what differs for the null branch.

    Raises:
      InputError: the track asks for what the preset has no place for.
    """

  def unknown_words(self, prompt: str) -> list[vocabulary_lib.UnknownWord]:
    """Words that are far from all captions the model was trained on."""

  def cut_text(self, prompt: str) -> str:
    """The end of a prompt that the text encoder has no room for."""
