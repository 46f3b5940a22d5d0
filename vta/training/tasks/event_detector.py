"""SonicVisionLM's timestamp detector as a task: frames to when it sounds."""

from __future__ import annotations

import functools
import itertools
import pathlib
import typing
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import optax
from jaxtyping import Array, Key, PyTree

from vta import errors
from vta.data import mixture, pictures, pipeline, records
from vta.interop import event_detector as names
from vta.interop import release
from vta.metrics import detection, intervals
from vta.models import batch_norm, event_detector
from vta.signals import events as events_lib
from vta.training import sharding, state, system
from vta.training.tasks import sets


class EventDetectorTask:
  """Trains the group "predictor" by weighted cross entropy (papers.md 2.1).

  What is evaluated and released has the population's statistics of the first
  `population_batches` training batches, the same ones every time: a resumed
  run finds the same.
  """

  averaged = ("predictor",)

  def __init__(self, config: ml_collections.ConfigDict):
    self._config = config
    _check(config)
    self._sizes = event_detector.EventDetectorConfig(
      **system.tuples(config.predictor.to_dict())
    )
    self.predictor = event_detector.Network(self._sizes)
    self.phases = (
      state.Phase(
        group="predictor",
        loss=self._loss,
        optimizer=_adam(config.optimizer, config.steps),
      ),
    )
    self._train, self._held_out = (
      sets.Sets(config, make, validation_batch=config.data.validation_batch)
      for make in (self.varied, self.example)
    )
    self._entropy = jax.jit(
      functools.partial(event_detector.loss, event_weight=config.event_weight)
    )
    self._logits = jax.jit(self._apply)
    self._moments = jax.jit(self._apply_in_training)

  def init(self, key: Key[Array, ""]) -> state.Params:
    clip = self._config.clip
    frames = jnp.zeros((1, 2, clip.size, clip.size, 3), jnp.uint8)
    made = sharding.initialise(
      lambda k: self.predictor.init(k, frames, training=False)["params"], key
    )
    if self._config.trunk_from:
      made = {**made, **names.read(self._config.trunk_from, self._sizes)}
    return {"predictor": made}

  def batches(self, start: int) -> Iterator[pipeline.Batch]:
    return self._train.batches(start)

  def evaluate(self, params: state.Params) -> Mapping[str, float]:
    """Loss; and of all valid frames AP and accuracy, of clips the mean IoU.

    CondFoleyGen takes as many silent as sounding frames instead, the first it
    finds, so that its AP and accuracy cannot be compared with these.
    """
    predictor = self._calibrated(params["predictor"])
    batches = self._held_out.validation
    logits = np.concatenate(
      [self._logits(predictor, batch["frames"]) for batch in batches]
    )
    target, valid = (
      np.concatenate([batch[name] for batch in batches])
      for name in ("events", "valid")
    )
    found = logits > 0.0
    value = self._entropy(logits, target, valid)
    rows = zip(found, target, valid, strict=True)
    return {
      "validation/loss": float(value),
      "validation/average_precision": detection.average_precision(
        target[valid], logits[valid]
      ),
      "validation/accuracy": float(np.mean((found == (target > 0.5))[valid])),
      "validation/iou": float(
        np.mean([intervals.event_iou(a[v], b[v]) for a, b, v in rows])
      ),
    }

  def release(self, params: state.Params, folder: pathlib.Path) -> None:
    release.save(
      folder,
      config={
        "preset": "event_detector",
        "predictor": self._config.predictor.to_dict(),
        "clip": self._config.clip.to_dict(),
      },
      parts={"predictor": self._calibrated(params["predictor"])},
      card="# A vta event detector without a model card yet\n",
    )

  def example(
    self, record: records.Record, rng: np.random.Generator
  ) -> dict[str, np.ndarray]:
    """A random stretch of a clip, the middle of its picture.

    Returns:
      frames: uint8 [f s s 3]; past the clip's end the last one is held.
      events: [f], 1 at the frames whose time is inside an event (papers.md
        2.1, eqs. 7 and 8).
      valid: [f], false past the clip's end.

    Raises:
      InputError: the record has no frames.
    """
    stretch = self._stretch(record, rng)
    frames = pictures.crop(stretch["frames"], self._config.clip.size)
    return {**stretch, "frames": frames}

  def varied(
    self, record: records.Record, rng: np.random.Generator
  ) -> dict[str, np.ndarray]:
    """`example`, cut out anywhere and lit otherwise."""
    stretch = self._stretch(record, rng)
    frames = pictures.crop(stretch["frames"], self._config.clip.size, rng)
    frames = pictures.jitter(frames, rng, strength=self._config.jitter)
    return {**stretch, "frames": frames}

  def _stretch(
    self, record: records.Record, rng: np.random.Generator
  ) -> dict[str, np.ndarray]:
    """An example whose frames are not cropped yet."""
    clip = self._config.clip
    if "frames" not in record.arrays:
      raise errors.InputError(
        str(record.meta["id"]),
        "the record has no frames: the detector learns from wave records",
      )
    stamps = record.arrays["frame_times"].astype(np.float64)
    duration = float(record.meta["duration"])
    last = duration - clip.frames / clip.frame_rate
    starts = stamps[: max(np.searchsorted(stamps, last, side="right"), 1)]
    times = rng.choice(starts) + np.arange(clip.frames) / clip.frame_rate
    sounding = events_lib.merged(
      record.arrays["events"].astype(np.float64), gap=events_lib.MERGE_GAP
    )
    at = pictures.shown(stamps, times)
    mask = None if record.mask is None else record.mask[at]
    frames = pictures.masked(record.arrays["frames"][at], mask)
    return {
      "frames": pictures.resize(frames, clip.resize),
      "events": events_lib.to_binary(sounding, times),
      "valid": times < duration,
    }

  def _calibrated(self, params: PyTree) -> PyTree:
    # Whole batches, on every host the same ones, whichever share it trains on.
    stream = pipeline.Stream(
      parts=mixture.read(self._config.data.train),
      make_example=self.varied,
      batch_size=self._config.batch_size,
    )
    batches = pipeline.batches([stream], seed=self._config.seed)
    some = itertools.islice(batches, self._config.population_batches)
    return batch_norm.calibrated(
      params, (self._moments(params, batch["frames"]) for batch in some)
    )

  def _apply(self, params: PyTree, frames: Array) -> Array:
    return self.predictor.apply({"params": params}, frames, training=False)

  def _apply_in_training(self, params: PyTree, frames: Array) -> PyTree:
    _, sown = self.predictor.apply(
      {"params": params}, frames, training=True, mutable=[batch_norm.MOMENTS]
    )
    return sown[batch_norm.MOMENTS]

  def _loss(
    self, params: state.Params, batch: Any, key: Key[Array, ""]
  ) -> tuple[Array, state.Metrics]:
    logits = self.predictor.apply(
      {"params": params["predictor"]}, batch["frames"], training=True
    )
    return self._entropy(logits, batch["events"], batch["valid"]), {}


def _check(config: ml_collections.ConfigDict) -> None:
  """Raises InputError for values that nothing can be trained by."""
  weights = typing.get_args(event_detector.EventWeight)
  if config.event_weight not in weights:
    raise errors.InputError(
      "config: event_weight",
      f"{config.event_weight!r} is not {', '.join(weights[:-1])} or "
      f"{weights[-1]}",
    )
  if config.population_batches < 1:
    raise errors.InputError(
      "config: population_batches",
      f"is {config.population_batches}, it must be 1 or more",
    )
  clip = config.clip
  if not 0 < clip.size <= clip.resize:
    raise errors.InputError(
      "config: clip.size",
      f"no square of {clip.size} is in one of {clip.resize}, clip.resize",
    )


def _adam(
  config: ml_collections.ConfigDict, steps: int
) -> optax.GradientTransformation:
  """torch's Adam, whose decay is a part of the gradient, and a cosine to zero.

  CondFoleyGen's (papers.md 2.1 (ii)), which decays gains and biases too; its
  cosine falls from epoch to epoch, ours from step to step.
  """

  def learned(params):
    # The population is measured: what is decayed is what is learned.
    return jax.tree_util.tree_map_with_path(
      lambda path, _: path[-1].key not in batch_norm.STATISTICS, params
    )

  return optax.chain(
    optax.add_decayed_weights(config.weight_decay, mask=learned),
    optax.adam(
      optax.cosine_decay_schedule(config.learning_rate, max(steps, 1))
    ),
  )
