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
from jaxtyping import Array, Float, Key

from vta import errors
from vta.data import pipeline, records
from vta.interop import release
from vta.models import autoencoder, levels, spectral
from vta.models import discriminator as discriminator_lib
from vta.training import optimizer, sharding, state, system
from vta.training.tasks import sets


class CodecTask:
  """Trains the groups "codec" and, if it is asked for, "discriminator"."""

  averaged = ("codec",)

  def __init__(self, config: ml_collections.ConfigDict):
    self._config = config
    self.codec = system.codec(config.codec.to_dict())
    if config.weights.level and not config.codec.groups:
      raise errors.InputError(
        "config: weights.level",
        "levels are of codec.groups, and there are none",
      )
    self._critic = None
    if config.adversarial.start >= 0:
      self._critic = discriminator_lib.Discriminator(
        discriminator_lib.DiscriminatorConfig(
          **system.tuples(config.discriminator.to_dict())
        )
      )
    start = config.adversarial.start if self._critic is not None else None
    # From `start` on they take turns; each optimizer counts its own updates.
    turns = 0 if start is None else max(config.steps - start, 0) // 2
    codec_optimizer = optimizer.adamw(
      config.optimizer, config.steps - turns, frozen=config.frozen
    )
    self.phases = (
      state.Phase(
        group="codec",
        loss=self._spectral_loss,
        optimizer=codec_optimizer,
        frozen=config.frozen,
        last=start,
      ),
    )
    if self._critic is not None:
      self.phases += (
        state.Phase(
          group="codec",
          loss=self._adversarial_loss,
          optimizer=codec_optimizer,
          frozen=config.frozen,
          first=start,
        ),
        state.Phase(
          group="discriminator",
          loss=self._discriminator_loss,
          optimizer=optimizer.adamw(config.discriminator_optimizer, turns),
          first=start,
        ),
      )
    self._sets = sets.Sets(
      config, self._example, validation_batch=config.batch_size
    )
    self._evaluate = jax.jit(self._validation_rows)

  def init(self, key: Key[Array, ""]) -> state.Params:
    first, second, third = jax.random.split(key, 3)
    wave = jnp.zeros((1, self._config.crop, 2))
    made = sharding.initialise(
      lambda *keys: self.codec.init(keys[0], wave, keys[1])["params"],
      first,
      second,
    )
    params = {"codec": made}
    if self._config.init_from:
      start = release.load(self._config.init_from)
      params["codec"] = start.part("codec", params["codec"])
    elif self.codec.config.groups:
      params["codec"] = autoencoder.start_levels(
        params["codec"], self._training_waves(), self.codec.config
      )
    if self._critic is not None:
      params["discriminator"] = sharding.initialise(
        lambda k: self._critic.init(k, wave)["params"], third
      )
    return params

  def batches(self, start: int) -> Iterator[pipeline.Batch]:
    return self._sets.batches(start)

  def evaluate(self, params: state.Params) -> Mapping[str, float]:
    """Losses of the reconstruction from the posterior's mean."""
    return self._sets.evaluate(
      lambda batch, _: self._evaluate(params["codec"], batch)
    )

  def release(self, params: state.Params, folder: pathlib.Path) -> None:
    encodes = {"encoder", "levels_in"} & params["codec"].keys()
    if self._config.init_from and encodes <= set(self._config.frozen):
      # Latents stay as they are, and so does what they are normalised by.
      start = release.read_config(pathlib.Path(self._config.init_from))
      statistics = {k: start[k] for k in ("latent_mean", "latent_std")}
    else:
      mean, std = self._latent_statistics(params["codec"])
      statistics = {"latent_mean": mean.tolist(), "latent_std": std.tolist()}
    release.save(
      folder,
      config={
        "preset": "codec",
        "codec": self._config.codec.to_dict(),
        **statistics,
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

  def _terms(self, wave, reconstruction, posterior) -> state.Metrics:
    """What reconstruction costs, before weights."""
    chosen = self._config.spectral
    terms = {
      "spectral": spectral.multi_resolution(
        reconstruction,
        wave,
        ffts=chosen.ffts,
        weighting=spectral.a_weighting() if chosen.a_weighting else None,
      ),
      "kl": posterior.kl(),
    }
    if self._config.weights.level:
      terms["level"] = levels.distance(
        reconstruction, wave, self.codec.config.groups
      )
    return terms

  def _weighted(self, terms: state.Metrics) -> Array:
    weights = self._config.weights
    return sum(weights[name] * value for name, value in terms.items())

  def _spectral_loss(
    self, params: state.Params, batch: Any, key: Key[Array, ""]
  ) -> tuple[Array, state.Metrics]:
    wave = batch["wave"]
    reconstruction, posterior = self.codec.apply(
      {"params": params["codec"]}, wave, key
    )
    terms = self._terms(wave, reconstruction, posterior)
    return self._weighted(terms), terms

  def _adversarial_loss(
    self, params: state.Params, batch: Any, key: Key[Array, ""]
  ) -> tuple[Array, state.Metrics]:
    wave = batch["wave"]
    reconstruction, posterior = self.codec.apply(
      {"params": params["codec"]}, wave, key
    )
    judged = self._judge(params["discriminator"], reconstruction)
    truth = self._judge(params["discriminator"], wave)
    terms = {
      **self._terms(wave, reconstruction, posterior),
      "adversarial": discriminator_lib.generator_loss(judged),
      "matching": discriminator_lib.feature_matching(truth, judged),
    }
    return self._weighted(terms), terms

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
    return self._terms(wave, reconstruction, posterior)

  def _encode(self, params: Any, wave: Array):
    return self.codec.apply({"params": params}, wave, method="encode")

  def _training_waves(self) -> Float[Array, "n t 2"]:
    crops = self.batches(0)
    return jnp.concatenate([next(crops)["wave"] for _ in range(32)])

  def _latent_statistics(self, params: Any) -> tuple[np.ndarray, np.ndarray]:
    """Mean per latent channel over training crops, and one deviation for all.

    One, not one each: how far a channel reaches is how much hangs on it, and
    the denoiser's loss and noise should know.
    """
    encode = jax.jit(lambda wave: self._encode(params, wave).mean)
    latents = encode(self._training_waves())
    mean = np.asarray(jnp.mean(latents, axis=(0, 1)))
    deviation = np.sqrt(np.mean(np.square(np.asarray(latents) - mean)))
    return mean, np.full(mean.shape, deviation)
