"""The denoiser's task: velocity of noisy latents, under dropped conditions."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
from jaxtyping import Array, Bool, Float, Key

from vta import errors
from vta.conditioning import conditions as conditions_lib
from vta.data import pipeline
from vta.diffusion import path, weighting
from vta.interop import release
from vta.training import (
  modules,
  optimizer,
  randomness,
  sharding,
  state,
  system,
)
from vta.training.tasks import (
  composed,
  examples,
  foley,
  sets,
  stable_audio,
  tri_ergon,
)

_PRESETS = {
  "foley": foley.Foley,
  "composed": composed.Composed,
  "tri_ergon": tri_ergon.TriErgon,
  "stable_audio": stable_audio.StableAudio,
}
# Of the configs, what a run may start from.
_STARTS = ("init_from", "base_from", "frames_from", "denoiser_from")
BUCKETS = 8  # of diffusion time, in which the validation loss is reported


class DenoiserTask:
  """Trains the group "model": the conditioner and the denoiser together.

  Attributes:
    system: the preset, wired up.
    of_preset: how it makes examples of records, and what it drops.
  """

  averaged = ("model",)

  def __init__(self, config: ml_collections.ConfigDict):
    self._config = config
    if config.frozen and not any(config.get(name) for name in _STARTS):
      raise errors.InputError(
        "config: frozen",
        f"none of {', '.join(_STARTS)} is set: random numbers would stay",
      )
    if config.preset not in _PRESETS:
      raise errors.InputError(
        "config: preset",
        f"{config.preset!r} is none of {', '.join(map(repr, _PRESETS))}",
      )
    preset = _PRESETS[config.preset]
    whole = release.load(config.codec)
    # It may hold a denoiser too, which is not to stay in memory.
    codec = {"codec": whole.require("codec")}
    self._codec = dataclasses.replace(whole, parts=codec)
    del whole
    examples.check(config, self._codec)
    # Raises for a name it does not know, which a step would do much later.
    weighting.weights(config.weighting, jnp.zeros(1), gamma=config.snr_gamma)
    self._preset = {
      "preset": config.preset,
      "codec": self._codec.config["codec"],
      "latent_mean": self._codec.config["latent_mean"],
      "latent_std": self._codec.config["latent_std"],
      "conditioner": config.conditioner.to_dict(),
      "denoiser": config.denoiser.to_dict(),
      "guidance": config.guidance.to_dict(),
      **{name: _plain(config[name]) for name in preset.sections},
    }
    self.system = system.build(self._preset)
    # What presets without an entry "expected" have no section for.
    expected = config.get("expected")
    self._first, self._weight = 0, 0.0
    if expected:
      self._first, self._weight = expected.first, expected.weight
    frozen = (*config.frozen, *composed.base_paths(config.get("base_from", "")))
    shared = {
      "group": "model",
      "optimizer": optimizer.adamw(
        config.optimizer, config.steps, frozen=frozen
      ),
      "frozen": frozen,
    }
    self.phases = (
      state.Phase(loss=self._expected_loss, last=self._first, **shared),
      state.Phase(loss=self._loss, first=self._first, **shared),
    )
    self.of_preset = preset(config, self.system, self._codec)
    self._sets = sets.Sets(
      config,
      self.of_preset.example,
      validation_batch=config.data.validation_batch,
      window=self.system.window,
    )
    self._evaluate = jax.jit(self._bucketed_loss)

  def init(self, key: Key[Array, ""]) -> state.Params:
    if self._config.init_from:
      start = release.load(self._config.init_from)
      expected = jax.eval_shape(self.system.init, key)
      params = {name: start.part(name, tree) for name, tree in expected.items()}
    else:
      fresh = sharding.initialise(self.system.init, key)
      params = self.of_preset.start(fresh)
    return {"model": params}

  def batches(self, start: int) -> Iterator[pipeline.Batch]:
    return self._sets.batches(start)

  def evaluate(self, params: state.Params) -> Mapping[str, float]:
    """Loss per bucket of diffusion time, with the same noise every time."""
    edges = np.linspace(0.0, 1.0, BUCKETS + 1)

    def rows(batch: pipeline.Batch, number: int) -> Mapping[str, Any]:
      losses = np.asarray(self._evaluate(params["model"], batch, number))
      named = {f"loss_t{edges[i]:.2f}": loss for i, loss in enumerate(losses)}
      return {"loss": losses.mean(), **named}

    return self._sets.evaluate(rows)

  def release(self, params: state.Params, folder: pathlib.Path) -> None:
    """Numbers keep the types that they started from, the codec's included:
    rounded, it would be another than the records' latents are of."""
    like = {"codec": pathlib.Path(self._config.codec)}
    start = self._config.init_from or self._config.get("base_from")
    if start:
      like |= dict.fromkeys(params["model"], pathlib.Path(start))
    release.save(
      folder,
      config=self._preset,
      parts={"codec": self._codec.parts["codec"], **params["model"]},
      card="# A vta release without a model card yet\n",
      like=like,
    )
    if start:
      release.copy_rest(pathlib.Path(start), folder)
    self.of_preset.finish(folder)
    if base := self._config.get("base_from"):
      alone = folder.with_name(modules.FOLDER)
      modules.save(alone, whole=folder, base=base)

  def _loss(
    self, params: state.Params, batch: Any, key: Key[Array, ""]
  ) -> tuple[Array, state.Metrics]:
    """The velocity's error, and what the conditions say on their own."""
    times, noise, drops, posterior = jax.random.split(key, 4)
    count = len(batch["asked"])
    time = weighting.stratified_times(times, count)
    clean = self._draw(batch, posterior)
    conditions = self._conditions(params["model"], batch, drops)
    error = self._error(params["model"], batch, clean, time, conditions, noise)
    weights = weighting.weights(
      self._config.weighting, time, gamma=self._config.snr_gamma
    )
    weights = weights / jnp.mean(weights)
    loss, metrics = jnp.mean(weights * error), {"unweighted": jnp.mean(error)}
    if self._weight:
      metrics["expected"] = _expected_error(conditions, clean, batch)
      loss += self._weight * metrics["expected"]
    return loss, metrics

  def _expected_loss(
    self, params: state.Params, batch: Any, key: Key[Array, ""]
  ) -> tuple[Array, state.Metrics]:
    """What the conditions say on their own: no denoiser is called."""
    drops, posterior = jax.random.split(key)
    conditions = self._conditions(params["model"], batch, drops)
    clean = self._draw(batch, posterior)
    return _expected_error(conditions, clean, batch), {}

  def _conditions(self, params, batch, drops) -> conditions_lib.Conditions:
    keep = self.of_preset.draw_keep(drops, len(batch["asked"]))
    if "never_dropped" in batch:  # what a clip would be wrong without
      keep |= batch["never_dropped"]
    features = self.system.encode(params, batch)
    return self.system.select(params, features, batch["asked"] & keep)

  def _error(self, params, batch, clean, time, conditions, noise_key):
    """Mean squared error of the velocity, per clip."""
    noise = jax.random.normal(noise_key, clean.shape)
    predicted = self.system.velocity(
      params,
      path.add_noise(clean, noise, time),
      time,
      conditions,
      valid=batch["valid"],
    )
    return _squared(
      predicted - path.velocity(clean, noise, time), batch["valid"]
    )

  def _draw(self, batch: Any, key: Key[Array, ""]) -> Float[Array, "b t c"]:
    """Latents drawn anew from the codec's posterior at every visit."""
    noise = jax.random.normal(key, batch["latent_mean"].shape)
    deviation = self._config.posterior * batch["latent_std"]
    return batch["latent_mean"] + deviation * noise

  def _bucketed_loss(
    self, params: Any, batch: Any, index: Array
  ) -> Float[Array, "k"]:
    key = randomness.stream(0, "validation", index)
    noise, posterior = jax.random.split(key)
    clean = self._draw(batch, posterior)
    middles = (jnp.arange(BUCKETS) + 0.5) / BUCKETS
    features = self.system.encode(params, batch)
    conditions = self.system.select(params, features, batch["asked"])

    def at(middle):
      time = jnp.full(len(clean), middle)
      error = self._error(params, batch, clean, time, conditions, noise)
      return jnp.mean(error)

    return jax.lax.map(at, middles)


def _squared(
  difference: Float[Array, "b t c"], valid: Bool[Array, "b t"]
) -> Float[Array, "b"]:
  """Mean square per clip, over what is part of it."""
  squared = jnp.mean(jnp.square(difference), axis=-1)
  return jnp.sum(squared * valid, axis=1) / jnp.sum(valid, axis=1)


def _expected_error(conditions, clean, batch) -> Float[Array, ""]:
  difference = conditions.input["expected"] - clean
  return jnp.mean(_squared(difference, batch["valid"]))


def _plain(section: Any) -> Any:
  """A section of a config as JSON takes it."""
  if isinstance(section, ml_collections.ConfigDict):
    return section.to_dict()
  return section
