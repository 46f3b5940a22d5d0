"""A job as the inputs of `tri_ergon`: text, sound and picture, by LanguageBind.

The towers are no part of what is trained; they are read from the release's
folder languagebind, which holds two public folders, or links to them:

  languagebind/video   LanguageBind_Video_V1.5_FT, which has the text tower too
  languagebind/audio   LanguageBind_Audio_FT

Only those that a job needs are read. A release of the yard's form, which was
trained without LanguageBind, holds a predictor in the folder frames instead.
"""

from __future__ import annotations

import functools
import math
import os
import pathlib
from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from vta import errors
from vta.conditioning import small_vectors, tri_ergon
from vta.encoders import languagebind
from vta.encoders import text as text_lib
from vta.encoders import vocabulary as vocabulary_lib
from vta.inference import pictures, windows
from vta.inference.job import Job, Row
from vta.interop import release as release_lib
from vta.media import read
from vta.signals import timing
from vta.training import system as system_lib
from vta.training.tasks import tri_ergon as task

FOLDER = "languagebind"
# The frames that the public video tower looks at.
_FRAMES = 8
_UNKNOWN = ("events", "masks", "objects")


class Reader:
  """Sees eight frames of the whole clip, reads text by LanguageBind."""

  def __init__(
    self,
    system: system_lib.TriErgon,
    release: release_lib.Release,
    encode_wave: Callable,
  ):
    """`encode_wave` is of no use here: references go to LanguageBind."""
    self._system = system
    self._towers = release.folder / FOLDER

  @functools.cached_property
  def _text(self) -> languagebind.TextEncoder:
    return languagebind.TextEncoder.load(self._towers / "video")

  @functools.cached_property
  def _video(self) -> languagebind.VideoEncoder:
    return languagebind.VideoEncoder.load(self._towers / "video")

  @functools.cached_property
  def _audio(self) -> languagebind.AudioEncoder:
    return languagebind.AudioEncoder.load(self._towers / "audio")

  def frame_times(self, duration: float) -> Float[np.ndarray, "f"]:
    """At equal distances, the clip's first and last frame among them."""
    return np.linspace(0.0, duration, _FRAMES)

  def read_frames(
    self, path: str | os.PathLike, duration: float
  ) -> read.Frames:
    """The eight frames, as large as they are: the tower scales them itself."""
    info = read.probe(path)
    times = self.frame_times(duration)
    return read.read_frames(
      path, times=times, height=info.height, width=info.width
    )

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
          f"tracks: {name}",
          "a tri_ergon checkpoint takes none; it takes text, reference, "
          "loudness and the picture",
        )
    follows = job.frames is not None and track.on_screen is not False
    given = {
      "text": self._prompt(track.text),
      "audio": self._reference(track.reference),
      "video": self._look(job.frames) if follows else None,
      "loudness": track.loudness,
    }
    negative = self._prompt(track.negative_text)
    geometry = self._system.geometry(cover.size)
    rows, nulls = [], []
    for first in cover.starts:
      place = {
        "start": first / self._system.latent_rate,
        "total": job.duration,
      }
      rows.append(tri_ergon.assemble(geometry, **place, **given))
      null = tri_ergon.assemble(geometry, **place, text=negative)
      nulls.append({name: null[name] for name in ("text", "asked")})
    return rows, nulls

  def _look(self, frames: read.Frames) -> Float[np.ndarray, "d"]:
    return self._video.encode(frames.images[None]).embedding[0]

  def _prompt(self, prompt: str | None) -> Float[np.ndarray, "d"] | None:
    if not prompt:
      return None
    return self._text.encode([prompt]).embedding[0]

  def _reference(
    self, path: pathlib.Path | None
  ) -> Float[np.ndarray, "d"] | None:
    if path is None:
      return None
    wave, tower = read.read_audio(path)[None], self._audio
    try:
      return tower.encode(wave, rate=timing.SAMPLE_RATE).embedding[0]
    except ValueError as error:  # It is too short.
      raise errors.InputError(path, str(error)) from None


class SmallReader(Reader):
  """Reads text by MiniLM, and what it sees and hears without LanguageBind.

  Attributes:
    frame_rate, frame_size: frames a second, and the side they are scaled to.
  """

  def __init__(
    self,
    system: system_lib.TriErgon,
    release: release_lib.Release,
    encode_wave: Callable,
  ):
    """`encode_wave` is the release's codec, for references."""
    super().__init__(system, release, encode_wave)
    self._eyes = pictures.Pictures(release.folder / task.FRAMES)
    self.frame_rate = self._eyes.frame_rate
    self.frame_size = self._eyes.frame_size
    self._encode_wave = encode_wave
    self._width = system.conditioner.config.width

  @functools.cached_property
  def _text(self) -> text_lib.TextEncoder:
    return text_lib.TextEncoder.load()

  def frame_times(self, duration: float) -> Float[np.ndarray, "f"]:
    """As the predictor was trained to see."""
    count = math.ceil(duration * self.frame_rate)
    return np.arange(count) / self.frame_rate

  def read_frames(
    self, path: str | os.PathLike, duration: float
  ) -> read.Frames:
    """The clip's frames as the predictor sees them."""
    size, times = self.frame_size, self.frame_times(duration)
    return read.read_frames(path, times=times, height=size, width=size)

  def _look(self, frames: read.Frames) -> Float[np.ndarray, "d"]:
    seen = self._eyes.encode(frames.images)
    return small_vectors.video(seen, width=self._width)

  def _prompt(self, prompt: str | None) -> Float[np.ndarray, "d"] | None:
    if not prompt:
      return None
    made = self._text.encode([prompt])
    return small_vectors.text(made.tokens[0], made.mask[0], width=self._width)

  def _reference(
    self, path: pathlib.Path | None
  ) -> Float[np.ndarray, "d"] | None:
    if path is None:
      return None
    latents = self._encode_wave(read.read_audio(path))
    return small_vectors.audio(latents, width=self._width)


def reader(
  system: system_lib.TriErgon,
  release: release_lib.Release,
  encode_wave: Callable,
) -> Reader:
  """The one that reads as the release was trained."""
  small = (release.folder / task.FRAMES).is_dir()
  return (SmallReader if small else Reader)(system, release, encode_wave)
