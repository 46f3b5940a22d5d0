"""The denoiser's task: velocity of noisy latents, under dropped conditions."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
from jaxtyping import Array, Bool, Float, Key

from vta import errors
from vta.conditioning import inputs
from vta.data import pipeline, records
from vta.diffusion import path, weighting
from vta.encoders import text, vocabulary
from vta.interop import release
from vta.training import optimizer, randomness, state, system
from vta.training.tasks import examples, sets

BUCKETS = 8  # of diffusion time, in which the validation loss is reported


class DenoiserTask:
  """Trains the group "model": the conditioner and the denoiser together."""

  averaged = ("model",)

  def __init__(self, config: ml_collections.ConfigDict):
    self._config = config
    if config.frozen and not (config.init_from or config.frames_from):
      raise errors.InputError(
        "config: frozen",
        "neither init_from nor frames_from is set: random numbers would stay",
      )
    self._codec = release.load(config.codec)
    self._preset = {
      "preset": "foley",
      "codec": self._codec.config["codec"],
      "latent_mean": self._codec.config["latent_mean"],
      "latent_std": self._codec.config["latent_std"],
      "conditioner": config.conditioner.to_dict(),
      "denoiser": config.denoiser.to_dict(),
      "clip": config.clip.to_dict(),
      "guidance": config.guidance.to_dict(),
    }
    self.system = system.System.build(self._preset)
    self._mean = np.asarray(self._preset["latent_mean"], np.float32)
    self._std = np.asarray(self._preset["latent_std"], np.float32)
    self.phases = (
      state.Phase(
        group="model",
        loss=self._loss,
        optimizer=optimizer.adamw(
          config.optimizer, config.steps, frozen=config.frozen
        ),
        frozen=config.frozen,
      ),
    )
    self._sets = sets.Sets(
      config, self._example, validation_batch=config.data.validation_batch
    )
    self._evaluate = jax.jit(self._bucketed_loss)

  def init(self, key: Key[Array, ""]) -> state.Params:
    params = self.system.init(key)
    if self._config.init_from:
      start = release.load(self._config.init_from)
      params = {name: start.part(name, tree) for name, tree in params.items()}
    elif self._config.frames_from:
      start = release.load(self._config.frames_from)
      params["conditioner"]["frame_encoder"] = start.part(
        "frame_encoder", params["conditioner"]["frame_encoder"]
      )
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
    release.save(
      folder,
      config=self._preset,
      parts={"codec": self._codec.parts["codec"], **params["model"]},
      card="# A vta release without a model card yet\n",
    )
    captions = {
      caption
      for record in records.Shards(self._config.data.train)
      for caption in record.meta["captions"]
    }
    encoder = text.TextEncoder.load()
    vocabulary.Vocabulary.build(captions, encoder).save(folder)

  def _example(
    self, record: records.Record, rng: np.random.Generator
  ) -> dict[str, np.ndarray]:
    return training_example(
      record, rng, system=self.system, mean=self._mean, std=self._std
    )

  def _loss(
    self, params: state.Params, batch: Any, key: Key[Array, ""]
  ) -> tuple[Array, state.Metrics]:
    times, noise, drops, posterior = jax.random.split(key, 4)
    count = len(batch["asked"])
    time = weighting.stratified_times(times, count)
    keep = batch["asked"] & draw_keep(drops, count, self._config.drop)
    clean = self._draw(batch, posterior)
    error = self._error(params["model"], batch, clean, time, keep, noise)
    weights = weighting.weights(
      self._config.weighting, time, gamma=self._config.snr_gamma
    )
    weights = weights / jnp.mean(weights)
    return jnp.mean(weights * error), {"unweighted": jnp.mean(error)}

  def _error(self, params, batch, clean, time, keep, noise_key):
    """Mean squared error of the velocity, per clip."""
    noise = jax.random.normal(noise_key, clean.shape)
    features = self.system.encode(params, batch)
    predicted = self.system.velocity(
      params,
      path.add_noise(clean, noise, time),
      time,
      self.system.select(params, features, keep),
      valid=batch["valid"],
    )
    squared = jnp.mean(
      jnp.square(predicted - path.velocity(clean, noise, time)), axis=-1
    )
    valid = batch["valid"]
    return jnp.sum(squared * valid, axis=1) / jnp.sum(valid, axis=1)

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

    def at(middle):
      time = jnp.full(len(clean), middle)
      error = self._error(params, batch, clean, time, batch["asked"], noise)
      return jnp.mean(error)

    return jax.lax.map(at, middles)


def draw_keep(
  key: Key[Array, ""], count: int, drop: ml_collections.ConfigDict
) -> Bool[Array, "b k"]:
  """Which entries each clip keeps.

  Every entry is dropped on its own with its own probability; besides, a share
  of clips keeps the frames alone and a share keeps nothing, so that both what
  most users give and the guidance's null are often practised.
  """
  one, two = jax.random.split(key)
  chances = jnp.array([drop.entries[name] for name in inputs.NAMES])
  keep = jax.random.uniform(one, (count, len(chances))) >= chances[None]
  draw = jax.random.uniform(two, (count, 1))
  only_frames = jnp.array([[name == "frames" for name in inputs.NAMES]])
  keep = jnp.where(draw < drop.all + drop.all_but_frames, only_frames, keep)
  return keep & (draw >= drop.all)


def training_example(
  record: records.Record,
  rng: np.random.Generator,
  *,
  system: system.System,
  mean: Float[np.ndarray, "c"],
  std: Float[np.ndarray, "c"],
) -> dict[str, np.ndarray]:
  """A random crop of a latent record as the denoiser's inputs and target."""
  arrays = record.arrays
  latents = (arrays["latent_mean"].astype(np.float32) - mean) / std
  spread = arrays["latent_std"].astype(np.float32) / std
  length = system.window
  first = int(rng.integers(max(len(latents) - length, 0) + 1))
  pad = ((0, max(first + length - len(latents), 0)), (0, 0))
  start = first / system.latent_rate

  geometry = system.geometry(length)
  given = examples.seen_and_heard(record, geometry, start)

  caption = int(rng.integers(len(arrays["text_tokens"])))
  # A stretch of the clip itself, from anywhere in it, stands for a recording.
  size = int(rng.integers(min(11, len(latents)), min(65, len(latents)) + 1))
  where = int(rng.integers(len(latents) - size + 1))
  objects = None
  if len(arrays["object_vectors"]):
    objects = inputs.ObjectFeatures(
      times=arrays["frame_times"].astype(np.float64),
      probability=arrays["object_probability"].astype(np.float32),
      vectors=arrays["object_vectors"].astype(np.float32),
    )
  example = inputs.assemble(
    geometry,
    **given,
    text=inputs.Prompt(
      tokens=arrays["text_tokens"][caption].astype(np.float32),
      mask=arrays["text_mask"][caption],
    ),
    reference=inputs.describe_reference(latents[where : where + size]),
    objects=objects,
  )
  return {
    **example,
    "latent_mean": np.pad(latents[first : first + length], pad),
    "latent_std": np.pad(spread[first : first + length], pad),
  }
