"""What the denoiser is trained down: its velocity's error, conditions dropped.

Made of a config alone, without records, files or a codec's parameters, so that
a step can be compiled for machines that are not there (`vta.training.aot`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
from jaxtyping import Array, Bool, Float, Key

from vta import errors
from vta.conditioning import conditions as conditions_lib
from vta.diffusion import path, weighting
from vta.training import optimizer, randomness, state, system
from vta.training.tasks import composed, foley, stable_audio, tri_ergon

PRESETS = {
  "foley": foley.Foley,
  "composed": composed.Composed,
  "tri_ergon": tri_ergon.TriErgon,
  "stable_audio": stable_audio.StableAudio,
}
BUCKETS = 8  # of diffusion time, in which the validation loss is reported


class Objective:
  """The loss of the group "model": the conditioner and the denoiser together.

  Attributes:
    preset: what a release says of it, as JSON takes it.
    system: the preset, wired up.
    phases: the updates that take turns.
  """

  averaged = ("model",)

  def __init__(
    self, config: ml_collections.ConfigDict, codec: Mapping[str, Any]
  ):
    """`codec` is the config of the codec's release.

    Raises:
      InputError: the preset is none of ours.
      ValueError: the weighting is none of ours, or sizes make no model.
    """
    self._config = config
    if config.preset not in PRESETS:
      raise errors.InputError(
        "config: preset",
        f"{config.preset!r} is none of {', '.join(map(repr, PRESETS))}",
      )
    self._of_preset = PRESETS[config.preset]
    # Raises for a name it does not know, which a step would do much later.
    weighting.weights(config.weighting, jnp.zeros(1), gamma=config.snr_gamma)
    self.preset = {
      "preset": config.preset,
      "codec": codec["codec"],
      "latent_mean": codec["latent_mean"],
      "latent_std": codec["latent_std"],
      "conditioner": config.conditioner.to_dict(),
      "denoiser": config.denoiser.to_dict(),
      "guidance": config.guidance.to_dict(),
      **{name: _plain(config[name]) for name in self._of_preset.sections},
    }
    self.system = system.build(self.preset)
    # What presets without an entry "expected" have no section for.
    expected = config.get("expected")
    first, self._weight = 0, 0.0
    if expected:
      first, self._weight = expected.first, expected.weight
    frozen = (*config.frozen, *composed.base_paths(config.get("base_from", "")))
    shared = {
      "group": "model",
      "optimizer": optimizer.adamw(
        config.optimizer, config.steps, frozen=frozen
      ),
      "frozen": frozen,
    }
    self.phases = (
      state.Phase(loss=self._expected_loss, last=first, **shared),
      state.Phase(loss=self.loss, first=first, **shared),
    )

  def shapes(
    self, *, window: int, clips: int
  ) -> dict[str, jax.ShapeDtypeStruct]:
    """Of a batch as the preset's `example` and the data pipeline make it.

    Args:
      window: latents.
      clips: of all devices together.
    """
    blank = self.system.blank
    shapes = jax.eval_shape(lambda: blank(window, batch=clips))
    latents = (clips, window, self.system.codec.config.latents)
    for name in ("latent_mean", "latent_std"):
      shapes[name] = jax.ShapeDtypeStruct(latents, jnp.float32)
    if issubclass(self._of_preset, foley.Foley):
      shapes["never_dropped"] = shapes["asked"]
    return shapes

  def loss(
    self, params: state.Params, batch: Any, key: Key[Array, ""]
  ) -> tuple[Array, state.Metrics]:
    """The velocity's error, and what the conditions say on their own."""
    times, noise, drops, posterior = jax.random.split(key, 4)
    count = len(batch["asked"])
    time = weighting.stratified_times(times, count)
    clean = self.draw(batch, posterior)
    conditions = self.conditions(params["model"], batch, drops)
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
    conditions = self.conditions(params["model"], batch, drops)
    clean = self.draw(batch, posterior)
    return _expected_error(conditions, clean, batch), {}

  def conditions(self, params, batch, drops) -> conditions_lib.Conditions:
    """Of a batch, each clip's entries dropped by the key `drops`."""
    keep = self._of_preset.draw_keep(
      self._config.drop, drops, len(batch["asked"])
    )
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

  def draw(self, batch: Any, key: Key[Array, ""]) -> Float[Array, "b t c"]:
    """Latents drawn anew from the codec's posterior at every visit."""
    noise = jax.random.normal(key, batch["latent_mean"].shape)
    deviation = self._config.posterior * batch["latent_std"]
    return batch["latent_mean"] + deviation * noise

  def bucketed_loss(
    self, params: Any, batch: Any, index: Array
  ) -> Float[Array, "k"]:
    """The velocity's error by diffusion time, on noise of batch `index`."""
    key = randomness.stream(0, "validation", index)
    noise, posterior = jax.random.split(key)
    clean = self.draw(batch, posterior)
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
