"""The generator: a release, ready to score clips with cue sheets."""

from __future__ import annotations

import dataclasses
import functools
import math
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from vta import errors
from vta.conditioning import inputs as inputs_lib
from vta.encoders import picture as picture_lib
from vta.encoders import text as text_lib
from vta.encoders import vocabulary as vocabulary_lib
from vta.inference import sampling, windows
from vta.interop import release as release_lib
from vta.media import read
from vta.models import autoencoder
from vta.signals import cues, masks, timing
from vta.signals import loudness as loudness_lib
from vta.training import system as system_lib

STARTER = pathlib.Path(__file__).parent.parent / "starter"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
  """How to sample.

  Attributes:
    steps: denoiser calls.
    solver: "dpm", "dpm-sde" or "ddim".
    guidance: strength of each of the preset's groups.
  """

  steps: int
  solver: str
  guidance: tuple[float, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Job:
  """One track of one clip.

  Attributes:
    duration: seconds.
    frames: the clip's frames at the system's rate, None without a picture.
    track: what is asked for.
    seed: of the noise.
  """

  duration: float
  frames: read.Frames | None
  track: cues.Track
  seed: int


class Generator:
  """A loaded release.

  Attributes:
    system: the wired preset.
    settings: the release's own choice of how to sample.
  """

  def __init__(self, folder: str | os.PathLike = STARTER):
    """Loads a release folder.

    Raises:
      InputError: naming what is missing or does not fit.
    """
    release = release_lib.load(folder)
    if release.config.get("preset") != "foley":
      raise errors.InputError(
        release.folder / "config.json",
        f"preset: clips are scored with 'foley', this is "
        f"{release.config.get('preset')!r}",
      )
    self.system = system_lib.System.build(release.config)
    tower = self.system.conditioner.config.frames.tower
    if tower not in (0, picture_lib.WIDTH):
      raise errors.InputError(
        release.folder / "config.json",
        f"conditioner.frames.tower is {tower}; the only tower known, "
        f"EfficientNet-Lite0, has {picture_lib.WIDTH}",
      )
    expected = jax.eval_shape(self.system.init, jax.random.key(0))
    wave = jnp.zeros((1, self.system.codec.config.hop, 2))
    expected["codec"] = jax.eval_shape(
      self.system.codec.init, jax.random.key(0), wave, jax.random.key(0)
    )["params"]
    self._params = {
      name: jax.device_put(release.part(name, tree))
      for name, tree in expected.items()
    }
    self._vocabulary = vocabulary_lib.Vocabulary.load(folder)
    self._mean = np.asarray(release.config["latent_mean"], np.float32)
    self._std = np.asarray(release.config["latent_std"], np.float32)
    chosen = release.config["guidance"]
    self._groups = system_lib.tuples(chosen["groups"])
    self.settings = Settings(
      steps=chosen["steps"],
      solver=chosen["solver"],
      guidance=tuple(chosen["scales"]),
    )

  @functools.cached_property
  def _text_encoder(self) -> text_lib.TextEncoder:
    return text_lib.TextEncoder.load()

  @functools.cached_property
  def _picture_encoder(self) -> picture_lib.PictureEncoder:
    return picture_lib.PictureEncoder.load()

  def frame_times(self, duration: float) -> Float[np.ndarray, "f"]:
    """When the conditioner wants to see the clip."""
    rate = self.system.frame_rate
    return np.arange(math.ceil(duration * rate)) / rate

  def read_frames(self, path: str | os.PathLike, duration: float):
    """The clip's frames as the conditioner sees them."""
    size = self.system.frame_size
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

  def generate(
    self, jobs: Sequence[Job], settings: Settings
  ) -> list[Float[np.ndarray, "t 2"]]:
    """Generates jobs of one duration as one batch.

    Args:
      jobs: what to make; all of the same duration.
      settings: how to sample.

    Returns:
      one wave per job, exactly round(duration * 44100) samples, unmixed: gain
      and pan are not applied yet.
    """
    duration = jobs[0].duration
    if any(job.duration != duration for job in jobs):
      raise ValueError("the jobs of a batch have one duration")
    samples = round(duration * timing.SAMPLE_RATE)
    latents = -(-samples // self.system.codec.config.hop)
    cover = windows.cover(latents, size=self.system.window)
    edges = loudness_lib.block_edges(samples)
    blocks = (edges[:-1] + edges[1:]) / (2 * timing.SAMPLE_RATE)
    curves = np.zeros((len(jobs), len(blocks), 2), np.float32)
    rows, negatives = [], []
    for i, job in enumerate(jobs):
      one, negative = self._inputs(job, cover)
      rows += one
      negatives += negative
      if job.track.loudness is not None:
        curves[i] = job.track.loudness.resample(blocks).lufs
    scales = np.tile(
      np.array(settings.guidance, np.float32)[:, None], (1, len(jobs))
    )
    waves = sampling.generate(
      self._params,
      sampling.stack(rows),
      sampling.stack(negatives),
      jnp.stack([jax.random.key(job.seed) for job in jobs]),
      scales,
      curves,
      self._mean,
      self._std,
      system=self.system,
      windows=cover,
      samples=samples,
      groups=self._groups,
      solver=settings.solver,
      steps=settings.steps,
    )
    return list(np.asarray(waves))

  def _inputs(
    self, job: Job, cover: windows.Windows
  ) -> tuple[list[Mapping[str, Any]], list[Mapping[str, Any]]]:
    """Inputs and negative prompts of every window of a job."""
    geometry = self.system.geometry(cover.size)
    track = job.track
    given: dict[str, Any] = {
      "loudness": track.loudness,
      "events": track.events,
      "text": self._prompt(track.text),
      "reference": self._reference(track.reference),
      "objects": self._objects(track),
    }
    negative = self._prompt(track.negative_text)
    mask = None
    if job.frames is not None and track.masks is not None:
      size = self.system.frame_size
      raster = masks.rasterise(
        track.masks, job.frames.times, height=size, width=size
      )
      mask = np.round(255.0 * raster).astype(np.uint8)
    # A sound from outside the picture is not to follow the picture.
    follows = job.frames is not None and track.on_screen is not False
    features = None
    if follows and geometry.tower:
      features = self._picture_encoder.encode(job.frames.images, mask)
    rows, negatives = [], []
    for first in cover.starts:
      start = first / self.system.latent_rate
      seen = {}
      if follows:
        times = job.frames.times
        begin = int(np.searchsorted(times, start, side="right")) - 1
        begin = min(max(begin, 0), len(times) - 1)
        window = slice(begin, begin + geometry.frames)
        seen = {
          "frames": job.frames.images[window],
          "frame_times": times[window],
          "mask": None if mask is None else mask[window],
          "frame_features": None if features is None else features[window],
        }
      rows.append(
        inputs_lib.assemble(
          geometry, start=start, total=job.duration, **given, **seen
        )
      )
      null = inputs_lib.assemble(
        geometry, start=start, total=job.duration, text=negative
      )
      names = ("text_tokens", "text_mask", "asked")
      negatives.append({name: null[name] for name in names})
    return rows, negatives

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
    latents = self.encode(read.read_audio(path))
    return inputs_lib.describe_reference(latents)

  def encode(self, wave: Float[np.ndarray, "t 2"]) -> Float[np.ndarray, "l c"]:
    """A wave's latents, normalised as the denoiser sees them."""
    codec = self.system.codec
    padded = autoencoder.pad_to_hop(jnp.asarray(wave)[None], codec.config.hop)
    posterior = codec.apply(
      {"params": self._params["codec"]}, padded, method="encode"
    )
    return (np.asarray(posterior.mean[0]) - self._mean) / self._std

  def reconstruct(
    self, wave: Float[np.ndarray, "t 2"]
  ) -> Float[np.ndarray, "t 2"]:
    """A wave through the codec and back, from the posterior's mean."""
    return _through(self.system.codec, self._params["codec"], wave)

  def untrained_codec(self):
    """`reconstruct` of the same codec before it learned anything."""
    codec = self.system.codec
    silence = jnp.zeros((1, codec.config.hop, 2))
    params = codec.init(jax.random.key(0), silence, jax.random.key(0))["params"]
    return functools.partial(_through, codec, params)

  def _objects(self, track: cues.Track) -> inputs_lib.ObjectFeatures | None:
    if track.objects is None:
      return None
    features = self._text_encoder.encode(track.objects.labels)
    return inputs_lib.ObjectFeatures(
      times=track.objects.times,
      probability=track.objects.probability.astype(np.float32),
      vectors=features.pooled,
    )


def _through(codec, params, wave):
  padded = autoencoder.pad_to_hop(jnp.asarray(wave)[None], codec.config.hop)
  return np.asarray(_reconstruct(codec, params, padded))[0, : len(wave)]


@functools.partial(jax.jit, static_argnums=0)
def _reconstruct(codec, params, wave):
  mean = codec.apply({"params": params}, wave, method="encode").mean
  return codec.apply({"params": params}, mean, method="decode")
