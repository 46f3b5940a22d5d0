"""The predictor's task: loudness, events and latents from frames alone."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import optax
from jaxtyping import Array, Key

from vta.conditioning import frames, inputs
from vta.data import pipeline, records
from vta.interop import release
from vta.models import predictor
from vta.training import optimizer, sharding, state, system
from vta.training.tasks import examples, sets


class PredictorTask:
  """Trains the group "predictor"."""

  averaged = ("predictor",)

  def __init__(self, config: ml_collections.ConfigDict):
    self._config = config
    codec = release.load(config.codec)
    codec.require("codec")
    examples.check(config, codec)
    self._mean = np.asarray(codec.config["latent_mean"], np.float32)
    self._std = np.asarray(codec.config["latent_std"], np.float32)
    clip = config.clip
    encoder = frames.FrameEncoderConfig(
      **system.tuples(config.frames.to_dict())
    )
    self._geometry = inputs.geometry(
      clip.window,
      latent_rate=clip.latent_rate,
      frame_rate=clip.frame_rate,
      frame_size=clip.frame_size,
      tower=encoder.tower,
    )
    # In the order of the predictor's arguments.
    self._read = ("frames", "mask", "frame_left", "frame_fraction")
    if encoder.tower:
      self._read += ("frame_features",)
    self.predictor = predictor.Predictor(encoder, len(self._mean))
    self.phases = (
      state.Phase(
        group="predictor",
        loss=self._loss,
        optimizer=optimizer.adamw(config.optimizer, config.steps),
      ),
    )
    self._sets = sets.Sets(
      config, self._example, validation_batch=config.data.validation_batch
    )
    self._evaluate = jax.jit(self._terms)

  def init(self, key: Key[Array, ""]) -> state.Params:
    blank = inputs.assemble(self._geometry, start=0.0, total=1.0)
    blank = [jnp.asarray(blank[name])[None] for name in self._read]
    params = sharding.initialise(
      lambda k: dict(self.predictor.init(k, *blank)["params"]), key
    )
    if self._config.frames_from:
      start = release.load(self._config.frames_from)
      params["frame_encoder"] = start.part(
        "frame_encoder", params["frame_encoder"]
      )
    return {"predictor": params}

  def batches(self, start: int) -> Iterator[pipeline.Batch]:
    return self._sets.batches(start)

  def evaluate(self, params: state.Params) -> Mapping[str, float]:
    """The losses before weights."""
    return self._sets.evaluate(
      lambda batch, _: self._evaluate(params["predictor"], batch)
    )

  def release(self, params: state.Params, folder: pathlib.Path) -> None:
    release.save(
      folder,
      config={
        "preset": "predictor",
        "frames": self._config.frames.to_dict(),
        "clip": self._config.clip.to_dict(),
      },
      parts={
        "frame_encoder": params["predictor"]["frame_encoder"],
        "heads": {
          name: tree
          for name, tree in params["predictor"].items()
          if name != "frame_encoder"
        },
      },
      card="# A vta predictor without a model card yet\n",
    )

  def _example(
    self, record: records.Record, rng: np.random.Generator
  ) -> dict[str, np.ndarray]:
    """A random stretch of a clip."""
    latents = record.arrays["latent_mean"].astype(np.float32)
    latents = (latents - self._mean) / self._std
    length = self._geometry.latents
    first = int(rng.integers(max(len(latents) - length, 0) + 1))
    latents = latents[first : first + length]
    given = examples.seen_and_heard(
      record, self._geometry, first / self._geometry.latent_rate
    )
    return {
      **inputs.assemble(self._geometry, **given),
      "latents": np.pad(latents, ((0, length - len(latents)), (0, 0))),
    }

  def _terms(self, params: Any, batch: Any) -> dict[str, Array]:
    read = [batch[name] for name in self._read]
    made = self.predictor.apply({"params": params}, *read)
    valid = batch["valid"] / jnp.sum(batch["valid"])
    error = jnp.mean(jnp.abs(made.loudness - batch["loudness"]), axis=-1)
    entropy = optax.sigmoid_binary_cross_entropy(made.events, batch["events"])
    # What is not heard has no timbre to be known by.
    heard = batch["valid"] * jnp.mean(batch["loudness"], axis=-1)
    squared = jnp.mean(jnp.square(made.latents - batch["latents"]), axis=-1)
    return {
      "loudness": jnp.sum(valid * error),
      "events": jnp.sum(valid * entropy[..., 0]),
      "onsets": jnp.sum(valid * entropy[..., 1]),
      "latents": jnp.sum(heard * squared) / (jnp.sum(heard) + 1e-6),
    }

  def _loss(
    self, params: state.Params, batch: Any, key: Key[Array, ""]
  ) -> tuple[Array, state.Metrics]:
    terms = self._terms(params["predictor"], batch)
    weights = self._config.weights
    return sum(weights[name] * value for name, value in terms.items()), terms
