"""A job as the inputs of `composed`: of `foley`'s controls, those it has.

What reads text and sees frames is the config's choice: `foley`'s own encoders,
or public towers (vta.encoders.towers), which lie in the release's folders t5
and clip. Only those that a job needs are read.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from vta import errors
from vta.encoders import picture, text, towers, vocabulary
from vta.inference import foley, windows
from vta.inference.job import Job, Row
from vta.interop import release as release_lib
from vta.training import system as system_lib

# Field of a track -> the feature that it is for. A loudness curve is obeyed by
# the sampler too (`vta.inference.drawn`), whatever the preset.
_FEATURES = {
  "text": "text",
  "events": "events",
  "objects": "objects",
  "masks": "frames",
  "reference": "reference",
}


class Reader(foley.Reader):
  """Reads what the table has a place for, and refuses the rest by name."""

  def __init__(
    self,
    system: system_lib.Composed,
    release: release_lib.Release,
    encode_wave: foley.EncodeWave,
  ):
    """`encode_wave` is of no use here: there is no place for references."""
    super().__init__(system, release, encode_wave)
    self._features = system.conditioner.config.features

  def _check_tower(self) -> None:
    """A tower that is named is looked at when a job needs it."""
    if self._system.frames_by is None:
      super()._check_tower()

  def _known_words(self) -> vocabulary.Vocabulary | None:
    """None of a large text tower: it has seen more than a list would hold."""
    if self._system.text_by == "minilm":
      return super()._known_words()
    return None

  @functools.cached_property
  def _text_encoder(self) -> towers.TextEncoder:
    by = self._system.text_by
    if by != "minilm":
      towers.check(by, self._folder / by, tokens=self._system.text_width)
    return towers.load_texts(by, self._folder / by)

  @functools.cached_property
  def _label_encoder(self) -> text.TextEncoder | towers.ClipTexts:
    by = self._system.frames_by
    if by is None:
      return self._text_encoder
    self._check_frames_by()
    if by == self._system.text_by:
      return self._text_encoder
    return towers.load_texts(by, self._folder / by)

  @functools.cached_property
  def _picture_encoder(self) -> picture.PictureEncoder | towers.ClipFrames:
    by = self._system.frames_by
    if by is None:
      return picture.PictureEncoder.load()
    self._check_frames_by()
    return towers.load_frames(self._folder / by)

  def _check_frames_by(self) -> None:
    """Raises InputError unless the tower is there, and as wide as the model's.

    Of its two halves a job may need either.
    """
    by, frames = self._system.frames_by, self._system.conditioner.config.frames
    towers.check(by, self._folder / by, embedding=frames.tower)

  def unknown_words(self, prompt: str) -> list[vocabulary.UnknownWord]:
    """Words that are far from all captions the model was trained on."""
    if self._vocabulary is None:
      return []
    return super().unknown_words(prompt)

  def inputs(
    self, job: Job, cover: windows.Windows
  ) -> tuple[list[Row], list[Row]]:
    """Of every window: the inputs, and what differs for the null branch.

    Raises:
      InputError: the track has a signal that the preset has no place for.
    """
    for field, feature in _FEATURES.items():
      if (
        feature not in self._features and getattr(job.track, field) is not None
      ):
        raise errors.InputError(
          f"tracks: {field}",
          f"this checkpoint takes {', '.join(self._features)} alone",
        )
    return super().inputs(job, cover)

  def _seen(self, job: Job, mask) -> Mapping[str, Any]:
    """The whole clip as `inputs.assemble` takes it."""
    if self._system.frames_by is None:
      return super()._seen(job, mask)
    if "frames" not in self._features:
      return {}
    images, encoder = job.frames.images, self._picture_encoder
    seen, whole = encoder.encode(images, mask), None
    if self._system.conditioner.config.masked:
      whole = seen if mask is None else encoder.encode(images)
    return {
      "frame_times": job.frames.times,
      "frame_features": seen,
      "whole_features": whole,
    }

  def _away_from(self, job: Job, mask) -> Mapping[str, Any]:
    """Nothing: the papers' null of a picture is no picture."""
    return {}

  def _muted(self, job: Job) -> None:
    """Nothing, either."""
