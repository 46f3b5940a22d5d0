"""A job as the inputs of `stable_audio`: its text, and how long the clip is.

These weights see no picture. What `python -m vta import` made of a public
checkpoint has T5's files in the folder text_encoder.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from vta import errors
from vta.conditioning import stable_audio
from vta.encoders import t5_text
from vta.encoders import vocabulary as vocabulary_lib
from vta.inference import windows
from vta.inference.job import Job, Row
from vta.interop import exchange
from vta.interop import release as release_lib
from vta.media import read
from vta.training import system as system_lib

_RATE, _SIDE = 15.0, 64  # of the frames, which are only counted
_UNKNOWN = ("reference", "events", "loudness", "masks", "objects")


class Reader:
  """Reads text by T5."""

  def __init__(
    self,
    system: system_lib.StableAudio,
    release: release_lib.Release,
    encode_wave: Callable,
  ):
    """`encode_wave` is of no use here: there is no place for references."""
    self._system = system
    self._folder = release.folder / exchange.TEXT_ENCODER

  @functools.cached_property
  def _text(self) -> t5_text.T5TextEncoder:
    return t5_text.T5TextEncoder.load(
      self._folder, max_length=stable_audio.TOKENS
    )

  def frame_times(self, duration: float) -> Float[np.ndarray, "f"]:
    """For the report and the plot alone."""
    return np.arange(np.ceil(duration * _RATE)) / _RATE

  def read_frames(
    self, path: str | os.PathLike, duration: float
  ) -> read.Frames:
    """For the report and the plot alone."""
    times = self.frame_times(duration)
    return read.read_frames(path, times=times, height=_SIDE, width=_SIDE)

  def unknown_words(self, prompt: str) -> list[vocabulary_lib.UnknownWord]:
    """None: the text tower has seen more words than any list of them holds."""
    return []

  def cut_text(self, prompt: str) -> str:
    """The end of a prompt that the text encoder has no room for."""
    return self._text.encode([prompt]).cut[0]

  def inputs(
    self, job: Job, cover: windows.Windows
  ) -> tuple[list[Row], list[Row]]:
    """Of every window: the inputs, and what differs for the null branch.

    Raises:
      InputError: the track has a signal that the preset has no place for.
    """
    track = job.track
    for name in _UNKNOWN:
      if getattr(track, name) is not None:
        raise errors.InputError(
          f"tracks: {name}", "a stable_audio checkpoint takes text alone"
        )
    prompt, negative = (
      self._prompt(text) for text in (track.text, track.negative_text)
    )
    rows, nulls = [], []
    for first in cover.starts:
      place = {
        "config": self._system.conditioner.config,
        "latents": cover.size,
        "start": first / self._system.latent_rate,
        "total": job.duration,
      }
      rows.append(stable_audio.assemble(**place, **prompt))
      null = stable_audio.assemble(**place, **negative)
      names = ("text_tokens", "text_mask", "asked")
      nulls.append({name: null[name] for name in names})
    return rows, nulls

  def _prompt(self, text: str | None) -> dict[str, np.ndarray]:
    if not text:
      return {}
    made = self._text.encode([text])
    return {"tokens": made.tokens[0], "mask": made.mask[0]}
