"""Tri-Ergon's LUFS predictor as a task: DINOv2's looks to a loudness curve."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
from jaxtyping import Array, Key

from vta import errors
from vta.data import pipeline, records
from vta.interop import release
from vta.models import lufs_predictor
from vta.signals import loudness as loudness_lib
from vta.signals import timing
from vta.training import optimizer, sharding, state
from vta.training.tasks import examples, sets


class LufsTask:
  """Trains the group "predictor" by the mean squared error (papers.md 3.3)."""

  averaged = ("predictor",)

  def __init__(self, config: ml_collections.ConfigDict):
    self._config = config
    sizes = config.predictor.to_dict()
    self._sizes = lufs_predictor.LufsPredictorConfig(**sizes)
    self.predictor = lufs_predictor.LufsPredictor(self._sizes)
    self.phases = (
      state.Phase(
        group="predictor",
        loss=self._loss,
        optimizer=optimizer.adamw(config.optimizer, config.steps),
      ),
    )
    self._sets = sets.Sets(
      config, self.example, validation_batch=config.data.validation_batch
    )
    self._evaluate = jax.jit(self._errors)

  def init(self, key: Key[Array, ""]) -> state.Params:
    looks = jnp.zeros((1, self._config.frames, self._sizes.width))
    mask = jnp.ones(looks.shape[:2], bool)
    params = sharding.initialise(
      lambda k: self.predictor.init(k, looks, mask)["params"], key
    )
    return {"predictor": params}

  def batches(self, start: int) -> Iterator[pipeline.Batch]:
    return self._sets.batches(start)

  def evaluate(self, params: state.Params) -> Mapping[str, float]:
    """The loss, and the mean absolute error in LU."""
    return self._sets.evaluate(
      lambda batch, _: self._evaluate(params["predictor"], batch)
    )

  def release(self, params: state.Params, folder: pathlib.Path) -> None:
    release.save(
      folder,
      config={
        "preset": "lufs_predictor",
        "predictor": self._config.predictor.to_dict(),
      },
      parts=params,
      card="# A vta LUFS predictor without a model card yet\n",
    )

  def example(
    self, record: records.Record, rng: np.random.Generator
  ) -> dict[str, np.ndarray]:
    """A stretch of at most `frames` looks, and the loudness at their times."""
    if "looks" not in record.arrays:
      raise errors.InputError(
        str(record.meta["id"]),
        "the record has no looks: encode the waves into another folder by "
        "`python -m data_prep.encode --dinov2 DIR`",
      )
    looks = record.arrays["looks"].astype(np.float32)
    length = self._config.frames
    first = int(rng.integers(max(len(looks) - length, 0) + 1))
    looks = looks[first : first + length]
    start = first / lufs_predictor.FRAME_RATE
    times = timing.centres(len(looks), lufs_predictor.FRAME_RATE, start)
    curve = loudness_lib.unit(examples.loudness(record).resample(times).lufs)
    pad = ((0, length - len(looks)), (0, 0))
    return {
      "looks": np.pad(looks, pad),
      "loudness": np.pad(curve, pad).astype(np.float32),
      "valid": np.arange(length) < len(looks),
    }

  def _errors(self, params: Any, batch: Any) -> dict[str, Array]:
    made = self.predictor.apply(
      {"params": params}, batch["looks"], batch["valid"]
    )
    valid = batch["valid"][..., None]
    wrong = jnp.sum(jnp.abs(made - batch["loudness"]) * valid)
    span = loudness_lib.CEILING - loudness_lib.FLOOR
    return {
      "squared": lufs_predictor.loss(made, batch["loudness"], batch["valid"]),
      "lu": span * wrong / (2 * jnp.sum(valid)),
    }

  def _loss(
    self, params: state.Params, batch: Any, key: Key[Array, ""]
  ) -> tuple[Array, state.Metrics]:
    found = self._errors(params["predictor"], batch)
    return found.pop("squared"), found
