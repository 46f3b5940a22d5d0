"""The codec's task: reconstruct waves, then please a discriminator as well.

Losses and weights are Stable Audio's (papers.md 3.8). The autoencoder trains
alone up to `adversarial.start`; from then on it and the discriminator move on
alternate steps, each with its own optimizer.
"""

from __future__ import annotations

import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
from jaxtyping import Array, Key

from vta.data import pipeline, records
from vta.interop import release
from vta.models import discriminator as discriminator_lib
from vta.models import spectral
from vta.training import optimizer, state, system


class CodecTask:
  """Trains the groups "codec" and, if it is asked for, "discriminator"."""

  averaged = ("codec",)

  def __init__(self, config: ml_collections.ConfigDict):
    self._config = config
    self.codec = system.codec(config.codec.to_dict())
    self._critic = None
    if config.adversarial.start >= 0:
      self._critic = discriminator_lib.Discriminator(
        discriminator_lib.DiscriminatorConfig(
          **system.tuples(config.discriminator.to_dict())
        )
      )
    start = config.adversarial.start if self._critic is not None else None
    codec_optimizer = optimizer.adamw(config.optimizer, config.steps)
    self.phases = (
      state.Phase(
        group="codec",
        loss=self._spectral_loss,
        optimizer=codec_optimizer,
        last=start,
      ),
    )
    if self._critic is not None:
      self.phases += (
        state.Phase(
          group="codec",
          loss=self._adversarial_loss,
          optimizer=codec_optimizer,
          first=start,
        ),
        state.Phase(
          group="discriminator",
          loss=self._discriminator_loss,
          optimizer=optimizer.adamw(
            config.discriminator_optimizer, config.steps
          ),
          first=start,
        ),
      )
    self._validation: list[pipeline.Batch] | None = None
    self._evaluate = jax.jit(self._validation_rows)

  def init(self, key: Key[Array, ""]) -> state.Params:
    first, second, third = jax.random.split(key, 3)
    wave = jnp.zeros((1, self._config.crop, 2))
    params = {"codec": self.codec.init(first, wave, second)["params"]}
    if self._config.init_from:
      start = release.load(self._config.init_from)
      params["codec"] = start.part("codec", params["codec"])
    if self._critic is not None:
      params["discriminator"] = self._critic.init(third, wave)["params"]
    return params

  def batches(self, start: int) -> Iterator[pipeline.Batch]:
    return pipeline.batches(
      records.Shards(self._config.data.train),
      self._example,
      batch_size=self._config.batch_size,
      seed=self._config.seed,
      start=start,
      host=jax.process_index(),
      hosts=jax.process_count(),
    )

  def evaluate(self, params: state.Params) -> Mapping[str, float]:
    """Losses of the reconstruction from the posterior's mean."""
    if self._validation is None:
      self._validation = pipeline.evaluation_batches(
        records.Shards(self._config.data.validation),
        self._example,
        batch_size=self._config.batch_size,
        count=self._config.data.validation_batches,
      )
    rows = [self._evaluate(params["codec"], b) for b in self._validation]
    return {
      f"validation/{name}": float(np.mean([row[name] for row in rows]))
      for name in rows[0]
    }

  def release(self, params: state.Params, folder: pathlib.Path) -> None:
    mean, std = self._latent_statistics(params["codec"])
    release.save(
      folder,
      config={
        "preset": "codec",
        "codec": self._config.codec.to_dict(),
        "latent_mean": mean.tolist(),
        "latent_std": std.tolist(),
      },
      parts={"codec": params["codec"]},
      card="# A vta codec release without a model card yet\n",
    )

  def _example(
    self, record: records.Record, rng: np.random.Generator
  ) -> dict[str, np.ndarray]:
    """A random crop, padded with silence where the clip is shorter."""
    wave, length = record.arrays["wave"], self._config.crop
    start = int(rng.integers(max(len(wave) - length, 0) + 1))
    wave = wave[start : start + length].astype(np.float32) / 32768.0
    return {"wave": np.pad(wave, ((0, length - len(wave)), (0, 0)))}

  def _spectral_terms(self, wave, reconstruction):
    chosen = self._config.spectral
    return spectral.multi_resolution(
      reconstruction,
      wave,
      ffts=chosen.ffts,
      weighting=spectral.a_weighting() if chosen.a_weighting else None,
    )

  def _spectral_loss(
    self, params: state.Params, batch: Any, key: Key[Array, ""]
  ) -> tuple[Array, state.Metrics]:
    wave = batch["wave"]
    reconstruction, posterior = self.codec.apply(
      {"params": params["codec"]}, wave, key
    )
    distance = self._spectral_terms(wave, reconstruction)
    kl = posterior.kl()
    weights = self._config.weights
    loss = weights.spectral * distance + weights.kl * kl
    return loss, {"spectral": distance, "kl": kl}

  def _adversarial_loss(
    self, params: state.Params, batch: Any, key: Key[Array, ""]
  ) -> tuple[Array, state.Metrics]:
    wave = batch["wave"]
    reconstruction, posterior = self.codec.apply(
      {"params": params["codec"]}, wave, key
    )
    distance = self._spectral_terms(wave, reconstruction)
    kl = posterior.kl()
    judged = self._judge(params["discriminator"], reconstruction)
    truth = self._judge(params["discriminator"], wave)
    adversarial = discriminator_lib.generator_loss(judged)
    matching = discriminator_lib.feature_matching(truth, judged)
    weights = self._config.weights
    loss = (
      weights.spectral * distance
      + weights.kl * kl
      + weights.adversarial * adversarial
      + weights.matching * matching
    )
    return loss, {
      "spectral": distance,
      "kl": kl,
      "adversarial": adversarial,
      "matching": matching,
    }

  def _discriminator_loss(
    self, params: state.Params, batch: Any, key: Key[Array, ""]
  ) -> tuple[Array, state.Metrics]:
    wave = batch["wave"]
    reconstruction, _ = self.codec.apply({"params": params["codec"]}, wave, key)
    loss = discriminator_lib.discriminator_loss(
      self._judge(params["discriminator"], wave),
      self._judge(params["discriminator"], reconstruction),
    )
    return loss, {}

  def _judge(self, params, wave):
    return self._critic.apply({"params": params}, wave)

  def _validation_rows(self, params: Any, batch: Any) -> dict[str, Array]:
    wave = batch["wave"]
    posterior = self._encode(params, wave)
    reconstruction = self.codec.apply(
      {"params": params}, posterior.mean, method="decode"
    )
    return {
      "spectral": self._spectral_terms(wave, reconstruction),
      "kl": posterior.kl(),
    }

  def _encode(self, params: Any, wave: Array):
    return self.codec.apply({"params": params}, wave, method="encode")

  def _latent_statistics(self, params: Any) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation per latent channel over training crops."""
    encode = jax.jit(lambda wave: self._encode(params, wave).mean)
    crops = pipeline.batches(
      records.Shards(self._config.data.train),
      self._example,
      batch_size=self._config.batch_size,
      seed=self._config.seed,
    )
    latents = np.concatenate(
      [np.asarray(encode(next(crops)["wave"])) for _ in range(32)]
    ).reshape(-1, self._config.codec.latents)
    return latents.mean(axis=0), latents.std(axis=0)
