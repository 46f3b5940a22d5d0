"""The generator: a release, ready to score clips with cue sheets."""

from __future__ import annotations

import dataclasses
import functools
import os
import pathlib
from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float

from vta import errors
from vta.conditioning import composed as composed_lib
from vta.inference import (
  chunks,
  composed,
  foley,
  sampling,
  stable_audio,
  tri_ergon,
  windows,
)
from vta.inference import job as job_lib
from vta.interop import release as release_lib
from vta.models import dit
from vta.signals import loudness as loudness_lib
from vta.signals import timing
from vta.training import system as system_lib

STARTER = pathlib.Path(__file__).parent.parent / "starter"
_READERS = {
  "foley": foley.Reader,
  "composed": composed.Reader,
  "tri_ergon": tri_ergon.reader,
  "stable_audio": stable_audio.Reader,
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
  """How to sample.

  Attributes:
    steps: denoiser calls.
    solver: "dpm", "dpm-sde" or "ddim".
    guidance: strength of each of the preset's groups.
    independent: whether each group is guided by on its own, not on top of the
      groups before it.
    strengths: of the preset `composed`, what adapters weigh; 1 where not named.
    obey: whether the sampler itself keeps to a drawn loudness curve, besides
      the denoiser that is told of it (`vta.inference.drawn`).
  """

  steps: int
  solver: str
  guidance: tuple[float, ...]
  independent: bool = False
  strengths: Mapping[str, float] = dataclasses.field(default_factory=dict)
  obey: bool = True


class Generator:
  """A loaded release.

  Attributes:
    system: the wired preset.
    reader: what the preset makes of a clip and a track.
    settings: the release's own choice of how to sample.
    groups: of entries, in the order in which guidance adds them.
  """

  def __init__(self, folder: str | os.PathLike = STARTER):
    """Loads a release folder.

    Raises:
      InputError: naming what is missing or does not fit.
    """
    release = release_lib.load(folder)
    if release.config.get("preset") not in _READERS:
      raise errors.InputError(
        release.folder / "config.json",
        f"preset: only {', '.join(map(repr, _READERS))} score clips, "
        f"this is {release.config.get('preset')!r}",
      )
    try:
      self.system = system_lib.build(release.config)
    except (KeyError, TypeError, ValueError) as error:
      raise errors.InputError(
        release.folder / "config.json",
        f"describes no model: {type(error).__name__}: {error}",
      ) from None
    reader = _READERS[release.config["preset"]]
    self.reader: job_lib.Reader = reader(self.system, release, self.encode)
    expected = jax.eval_shape(self.system.init, jax.random.key(0))
    expected["codec"] = jax.eval_shape(
      self.system.init_codec, jax.random.key(0)
    )
    params = {name: release.part(name, tree) for name, tree in expected.items()}
    if jax.default_backend() == "cpu":
      # As NumPy's, of which a block is a view; JAX compiles every slice.
      stacked = jax.tree.map(np.asarray, params["denoiser"])
      params["denoiser"] = dit.separate_blocks(stacked)
    self._params = jax.device_put(params)
    self._mean = np.asarray(release.config["latent_mean"], np.float32)
    self._std = np.asarray(release.config["latent_std"], np.float32)
    chosen = release.config["guidance"]
    self.groups = system_lib.tuples(chosen["groups"])
    self.settings = Settings(
      steps=chosen["steps"],
      solver=chosen["solver"],
      guidance=tuple(chosen["scales"]),
      independent=chosen.get("independent", False),
      strengths=chosen.get("strengths", {}),
    )

  def generate(
    self, jobs: Sequence[job_lib.Job], settings: Settings
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
    rows, nulls = [], []
    for i, job in enumerate(jobs):
      one, null = self.reader.inputs(job, cover)
      rows += one
      nulls += null
      if job.track.loudness is not None:
        curves[i] = job.track.loudness.resample(blocks).lufs
    # What differs for one clip of the batch is as it was for the others.
    differs = {name for null in nulls for name in null}
    nulls = [
      {name: null.get(name, row[name]) for name in differs}
      for row, null in zip(rows, nulls, strict=True)
    ]
    if isinstance(self.system, system_lib.Composed):
      rows = [composed_lib.weigh(row, settings.strengths) for row in rows]
    inputs = sampling.stack(rows)
    groups, guidance = self._wanted(inputs["asked"], settings.guidance)
    scales = np.tile(np.array(guidance, np.float32)[:, None], (1, len(jobs)))
    if type(self.system) is system_lib.Foley:
      scales[0] *= [foley.MUTED if foley.mutes(job) else 1.0 for job in jobs]
    waves = sampling.generate(
      self._params,
      inputs,
      sampling.stack(nulls),
      jnp.stack([jax.random.key(job.seed) for job in jobs]),
      scales,
      curves,
      self._mean,
      self._std,
      system=self.system,
      windows=cover,
      samples=samples,
      groups=groups,
      solver=settings.solver,
      steps=settings.steps,
      independent=settings.independent,
      obey=settings.obey,
    )
    return list(np.asarray(waves))

  def _wanted(
    self, asked: Bool[np.ndarray, "n k"], guidance: Sequence[float]
  ) -> tuple[tuple[tuple[str, ...], ...], tuple[float, ...]]:
    """The groups that matter to a batch, and their scales.

    Of what nobody asks for, a branch would repeat the one before it. The first
    stays: it is what a negative prompt is led away to.
    """
    named = zip(self.system.names, asked.any(axis=0), strict=True)
    heard = {name for name, here in named if here}
    kept = [
      (group, scale)
      for i, (group, scale) in enumerate(
        zip(self.groups, guidance, strict=True)
      )
      if i == 0 or heard.intersection(group)
    ]
    groups, scales = zip(*kept, strict=True)
    return groups, scales

  @property
  def weighed(self) -> tuple[str, ...]:
    """The adapters whose strength may be chosen."""
    if isinstance(self.system, system_lib.Composed):
      return self.system.conditioner.config.weighed
    return ()

  def encode(self, wave: Float[np.ndarray, "t 2"]) -> Float[np.ndarray, "l c"]:
    """A wave's latents, normalised as the denoiser sees them."""
    mean, _ = chunks.describe(self.system.codec, self._params["codec"], wave)
    return (mean - self._mean) / self._std

  def reconstruct(
    self, wave: Float[np.ndarray, "t 2"]
  ) -> Float[np.ndarray, "t 2"]:
    """A wave through the codec and back, from the posterior's mean."""
    return _through(self.system.codec, self._params["codec"], wave)

  def untrained_codec(self):
    """`reconstruct` of the same codec before it learned anything."""
    params = self.system.init_codec(jax.random.key(0))
    return functools.partial(_through, self.system.codec, params)


def _through(codec, params, wave):
  mean, _ = chunks.describe(codec, params, wave)
  return np.asarray(chunks.decode(codec, params, mean[None]))[0, : len(wave)]
