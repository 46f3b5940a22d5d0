"""A job as the inputs of `foley`, whose every control it may use."""

from __future__ import annotations

import functools
import math
import os
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from jaxtyping import Float

from vta import errors
from vta.conditioning import inputs as inputs_lib
from vta.encoders import picture as picture_lib
from vta.encoders import text as text_lib
from vta.encoders import vocabulary as vocabulary_lib
from vta.inference import windows
from vta.inference.job import Job, Row
from vta.interop import release as release_lib
from vta.media import read
from vta.signals import masks
from vta.signals import objects as objects_lib
from vta.training import system as system_lib

# A wave [t, 2] to its latents, normalised, [l, c].
EncodeWave = Callable[[Float[np.ndarray, "t 2"]], Float[np.ndarray, "l c"]]


# Times the guidance where something is muted: its null sees the picture too, so
# that only the sound of what is muted is exaggerated, and less would not do.
MUTED = 2.0


def mutes(job: Job) -> bool:
  """Whether something that is seen is not to sound."""
  track = job.track
  follows = job.frames is not None and track.on_screen is not False
  return (
    follows and track.objects is not None and track.objects.muted() is not None
  )


class Reader:
  """Sees at the conditioner's own rate and size, reads text by MiniLM.

  Attributes:
    frame_rate, frame_size: frames a second, and the side they are scaled to.
  """

  def __init__(
    self,
    system: system_lib.Foley,
    release: release_lib.Release,
    encode_wave: EncodeWave,
  ):
    """`encode_wave` is the release's codec, for references."""
    self._system = system
    self.frame_rate = system.frame_rate
    self.frame_size = system.frame_size
    self._encode_wave = encode_wave
    self._folder = release.folder
    self._check_tower()
    self._vocabulary = self._known_words()

  def _check_tower(self) -> None:
    """Raises InputError for a tower that nobody knows."""
    tower = self._system.conditioner.config.frames.tower
    if tower not in (0, picture_lib.WIDTH):
      raise errors.InputError(
        self._folder / "config.json",
        f"conditioner.frames.tower is {tower}; the only tower known, "
        f"EfficientNet-Lite0, has {picture_lib.WIDTH}",
      )

  def _known_words(self) -> vocabulary_lib.Vocabulary:
    """What the model was trained on."""
    return vocabulary_lib.Vocabulary.load(self._folder)

  @functools.cached_property
  def _text_encoder(self) -> text_lib.TextEncoder:
    return text_lib.TextEncoder.load()

  @property
  def _label_encoder(self) -> text_lib.TextEncoder:
    return self._text_encoder

  @functools.cached_property
  def _picture_encoder(self) -> picture_lib.PictureEncoder:
    return picture_lib.PictureEncoder.load()

  def frame_times(self, duration: float) -> Float[np.ndarray, "f"]:
    """When the conditioner wants to see the clip."""
    rate = self._system.frame_rate
    return np.arange(math.ceil(duration * rate)) / rate

  def read_frames(
    self, path: str | os.PathLike, duration: float
  ) -> read.Frames:
    """The clip's frames as the conditioner sees them."""
    size = self._system.frame_size
    times = self.frame_times(duration)
    return read.read_frames(path, times=times, height=size, width=size)

  def unknown_words(self, prompt: str) -> list[vocabulary_lib.UnknownWord]:
    """Words that are far from all captions the model was trained on."""
    return vocabulary_lib.unknown_words(
      prompt, self._text_encoder, self._vocabulary
    )

  def cut_text(self, prompt: str) -> str:
    """The end of a prompt that the text encoder has no room for."""
    return self._text_encoder.encode([prompt]).cut[0]

  def inputs(
    self, job: Job, cover: windows.Windows
  ) -> tuple[list[Row], list[Row]]:
    """Of every window: the inputs, and what differs for the null branch."""
    geometry = self._system.geometry(cover.size)
    track = job.track
    given: dict[str, Any] = {
      "loudness": track.loudness,
      "events": track.events,
      "text": self._prompt(track.text),
      "reference": self._reference(track.reference),
      "objects": None
      if track.objects is None
      else self._objects(track.objects),
    }
    negative = self._prompt(track.negative_text)
    # A sound from outside the picture is not to follow the picture.
    follows = job.frames is not None and track.on_screen is not False
    mask = self._mask(job) if follows and track.masks is not None else None
    seen = self._seen(job, mask) if follows else {}
    away = {} if mask is None else self._away_from(job, mask)
    muted = self._muted(job) if seen else None
    if muted is not None:
      away = {**seen, **away, "objects": muted}
    rows, nulls = [], []
    for first in cover.starts:
      place = {
        "start": first / self._system.latent_rate,
        "total": job.duration,
      }
      rows.append(inputs_lib.assemble(geometry, **place, **given, **seen))
      null = inputs_lib.assemble(geometry, **place, text=negative, **away)
      names = ["text_tokens", "text_mask", "asked"]
      names += ["objects"] if "objects" in away else []
      if away:
        names += ["mask", "frame_features"] if geometry.tower else ["mask"]
      nulls.append({name: null[name] for name in names})
    return rows, nulls

  def _away_from(self, job: Job, mask) -> Mapping[str, Any]:
    """The null of a masked picture: the picture outside the mask (ours).

    Guidance then leads away from what is not to sound.
    """
    return self._seen(job, 255 - mask)

  def _muted(self, job: Job) -> inputs_lib.ObjectFeatures | None:
    """What a picture's null is to sound of, if something is muted (ours).

    The null sees the picture too, so that all that guidance leads away from is
    the sound of what was muted.
    """
    if not mutes(job):
      return None
    return self._objects(job.track.objects.muted())

  def _mask(self, job: Job):
    size = self._system.frame_size
    raster = masks.rasterise(
      job.track.masks, job.frames.times, height=size, width=size
    )
    return np.round(255.0 * raster).astype(np.uint8)

  def _seen(self, job: Job, mask) -> Mapping[str, Any]:
    """The whole clip as `inputs.assemble` takes it."""
    features = None
    if self._system.conditioner.config.frames.tower:
      features = self._picture_encoder.encode(job.frames.images, mask)
    return {
      "frames": job.frames.images,
      "frame_times": job.frames.times,
      "mask": mask,
      "frame_features": features,
    }

  def _prompt(self, prompt: str | None) -> inputs_lib.Prompt | None:
    if not prompt:
      return None
    features = self._text_encoder.encode([prompt])
    return inputs_lib.Prompt(tokens=features.tokens[0], mask=features.mask[0])

  def _reference(
    self, path: pathlib.Path | None
  ) -> Float[np.ndarray, "r"] | None:
    if path is None:
      return None
    return inputs_lib.describe_reference(
      self._encode_wave(read.read_audio(path))
    )

  def _objects(self, objects: objects_lib.Objects) -> inputs_lib.ObjectFeatures:
    return inputs_lib.ObjectFeatures(
      times=objects.times,
      probability=objects.probability.astype(np.float32),
      vectors=self._label_encoder.encode(objects.labels).pooled,
    )
