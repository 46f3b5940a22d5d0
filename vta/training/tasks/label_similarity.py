"""Smooth-Foley's label-guided timestamps as a task: when does a label sound.

A frame of a record is what CLIP, or a frozen frame encoder of ours, sees; a
label is its text embedding; the target is whether the label is heard then. A
thing that is in the picture and silent is 0, one that is heard off screen is 1:
the network learns as much of that as the picture tells. Labels of other clips
of the batch are absent from a clip and 0 in all of it (ours), without which
nothing would be learned of the words.
"""

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
from vta.data import mixture, pipeline, records
from vta.interop import release
from vta.metrics import detection
from vta.models import label_similarity
from vta.training import optimizer, sharding, state
from vta.training.tasks import sets

# Where records have frames and labels as each kind of eyes sees and reads them.
CLIP = ("frame_features", "object_vectors")
PICTURES = ("pictures", "object_vectors")
# Embeddings nearer than this to each other, of their power, are of one label.
_SAME = 1e-4
_MADE_BY = {
  "frame_features": "`python -m data_prep.encode --clip DIR`",
  "pictures": "`python -m data_prep.see`",
  "object_sounding": "`python -m vta yard`",
}


class LabelSimilarityTask:
  """Trains the group "predictor" by binary cross entropy (papers.md 5.3)."""

  averaged = ("predictor",)

  def __init__(self, config: ml_collections.ConfigDict):
    self._config = config
    self._eyes = None
    if config.frames_from:
      self._eyes = release.load(config.frames_from)
    _check(config, self._eyes)
    self._frames, self._labels = CLIP if self._eyes is None else PICTURES
    self._sizes = label_similarity.LabelSimilarityConfig(
      **config.predictor.to_dict()
    )
    self.predictor = label_similarity.LabelSimilarity(self._sizes)
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
    self._logits = jax.jit(self._apply)

  def init(self, key: Key[Array, ""]) -> state.Params:
    frames = jnp.zeros((1, 1, self._sizes.frame_width))
    labels = jnp.zeros((1, 1, self._sizes.label_width))
    params = sharding.initialise(
      lambda k: self.predictor.init(k, frames, labels)["params"], key
    )
    return {"predictor": params}

  def batches(self, start: int) -> Iterator[pipeline.Batch]:
    return self._sets.batches(start)

  def evaluate(self, params: state.Params) -> Mapping[str, float]:
    """How well a clip's labels are told when they sound, and others that never.

    "constant" is of a baseline without eyes that says of every label the share
    of its frames in which it sounds, in this very set.

    Returns:
      loss, accuracy and constant_loss, constant_accuracy of the frames of the
      clips' labels; average_precision and constant_precision, means over the
      labels that sound; absent, the share of the frames of other clips' labels
      that are found silent.
    """
    named, absent = _Kinds(), []
    for batch in self._sets.validation:
      named.add(batch, self._logits(params["predictor"], batch))
      asked = {**batch, **_absent(batch)}
      found = self._logits(params["predictor"], asked)
      absent.append(np.asarray(found)[_mask(asked)])
    kinds = [tuple(map(np.concatenate, zip(*k, strict=True))) for k in named]
    rates = [target.mean() for _, target in kinds]
    precisions = [
      (detection.average_precision(target, logits), rate)
      for (logits, target), rate in zip(kinds, rates, strict=True)
      if rate > 0.0
    ]
    found, base = np.mean(precisions, axis=0) if precisions else (0.0, 0.0)
    logits, target = (np.concatenate(x) for x in zip(*kinds, strict=True))
    constant = np.repeat(rates, [len(target) for _, target in kinds])
    silent = np.concatenate(absent) <= 0.0
    return {
      "validation/loss": _entropy(_sigmoid(logits), target),
      "validation/constant_loss": _entropy(constant, target),
      "validation/accuracy": float(np.mean((logits > 0.0) == (target > 0.5))),
      "validation/constant_accuracy": float(
        np.mean((constant > 0.5) == (target > 0.5))
      ),
      "validation/average_precision": float(found),
      "validation/constant_precision": float(base),
      "validation/absent": float(np.mean(silent)) if len(silent) else 1.0,
    }

  def release(self, params: state.Params, folder: pathlib.Path) -> None:
    config = {
      "preset": "label_similarity",
      "predictor": self._config.predictor.to_dict(),
      "frame_rate": self._config.clip.frame_rate,
    }
    parts, like = dict(params), {}
    if self._eyes is not None:
      config["frames"] = self._eyes.config["frames"]
      config["frame_size"] = self._eyes.config["clip"]["frame_size"]
      parts["frame_encoder"] = self._eyes.parts["frame_encoder"]
      like["frame_encoder"] = self._eyes.folder
    release.save(
      folder,
      config=config,
      parts=parts,
      card="# A vta label similarity without a model card yet\n",
      like=like,
    )

  def example(
    self, record: records.Record, rng: np.random.Generator
  ) -> dict[str, np.ndarray]:
    """A random stretch of a clip, and its labels, a random choice if too many.

    Returns:
      frames: [f, d], zero past the clip's end.
      labels: [k, e], zero where `named` is false.
      sounding: [f, k], 1 where a label is heard.
      valid: [f], false past the clip's end.
      named: [k], false where the clip has no more labels.

    Raises:
      InputError: the record lacks a field.
    """
    for name in (self._frames, "object_sounding"):
      if name not in record.arrays:
        raise errors.InputError(
          str(record.meta["id"]),
          f"the record has no {name}: make it anew by {_MADE_BY[name]}",
        )
    clip = self._config.clip
    frames = record.arrays[self._frames]
    labels = record.arrays[self._labels]
    sounding = record.arrays["object_sounding"]
    first = int(rng.integers(max(len(frames) - clip.frames, 0) + 1))
    stretch = slice(first, first + clip.frames)
    chosen = np.arange(len(labels))
    if len(labels) > clip.labels:
      chosen = np.sort(rng.permutation(len(labels))[: clip.labels])
    frames, sounding = frames[stretch], sounding[stretch][:, chosen]
    later, more = clip.frames - len(frames), clip.labels - len(chosen)
    return {
      "frames": np.pad(frames.astype(np.float32), ((0, later), (0, 0))),
      "labels": np.pad(labels[chosen].astype(np.float32), ((0, more), (0, 0))),
      "sounding": np.pad(sounding.astype(np.float32), ((0, later), (0, more))),
      "valid": np.arange(clip.frames) < len(frames),
      "named": np.arange(clip.labels) < len(chosen),
    }

  def _apply(self, params: Any, batch: Any) -> Float[Array, "b f k"]:
    return self.predictor.apply(
      {"params": params}, batch["frames"], batch["labels"]
    )

  def _loss(
    self, params: state.Params, batch: Any, key: Key[Array, ""]
  ) -> tuple[Array, state.Metrics]:
    other = _absent(batch)
    asked = {
      name: jnp.concatenate([batch[name], other[name]], axis=axis)
      for name, axis in (("labels", 1), ("sounding", 2), ("named", 1))
    }
    asked = {**batch, **asked}
    logits = self._apply(params["predictor"], asked)
    return (
      label_similarity.loss(logits, asked["sounding"], _mask(asked)),
      {
        "scale": jnp.exp(params["predictor"]["log_scale"][0]),
        "bias": params["predictor"]["bias"][0],
      },
    )


def _absent(batch: Any) -> dict[str, Array]:
  """The labels of the clip before each in the batch, which never sound in it.

  Those that it has itself do not count.
  """
  other = jnp.roll(batch["labels"], 1, axis=0)
  same = _same(batch["labels"][:, :, None], other[:, None])
  shared = jnp.any(same & batch["named"][:, :, None], axis=1)
  return {
    "labels": other,
    "sounding": jnp.zeros_like(batch["sounding"]),
    "named": jnp.roll(batch["named"], 1, axis=0) & ~shared,
  }


def _same(one: Array | np.ndarray, other: Array | np.ndarray) -> Array:
  """Whether embeddings are of one label.

  Two runs of a text encoder, in batches of other sizes, differ in the last bit.
  """
  apart = jnp.sum(jnp.square(one - other), axis=-1)
  return apart < _SAME * jnp.sum(jnp.square(one), axis=-1)


def _mask(batch: Any) -> Bool[Array, "b f k"] | Bool[np.ndarray, "b f k"]:
  """The frames and labels that count."""
  return batch["valid"][:, :, None] & batch["named"][:, None]


class _Kinds:
  """Logits and targets by label, of all clips that have it."""

  def __init__(self):
    self._labels: list[np.ndarray] = []
    self._found: list[list[tuple[np.ndarray, np.ndarray]]] = []

  def __iter__(self) -> Iterator[list[tuple[np.ndarray, np.ndarray]]]:
    return iter(self._found)

  def add(self, batch: pipeline.Batch, logits: Array) -> None:
    """What was found of a batch's labels in the frames that count."""
    logits = np.asarray(logits)
    for clip, column in zip(*np.nonzero(batch["named"]), strict=True):
      label, frames = batch["labels"][clip, column], batch["valid"][clip]
      known = [bool(_same(label, other)) for other in self._labels]
      if not any(known):
        self._labels.append(label)
        self._found.append([])
        known.append(True)
      self._found[int(np.argmax(known))].append(
        (
          logits[clip, frames, column],
          batch["sounding"][clip, frames, column],
        )
      )


def _sigmoid(logits: Float[np.ndarray, "n"]) -> Float[np.ndarray, "n"]:
  return 1.0 / (1.0 + np.exp(-logits.astype(np.float64)))


def _entropy(
  probability: Float[np.ndarray, "n"], target: Float[np.ndarray, "n"]
) -> float:
  """Mean binary cross entropy, nats."""
  right = np.where(target > 0.5, probability, 1.0 - probability)
  return float(-np.mean(np.log(np.maximum(right, 1e-12))))


def _check(
  config: ml_collections.ConfigDict, eyes: release.Release | None
) -> None:
  """Raises InputError for eyes that are none, or not the records'."""
  folders = (*mixture.folders(config.data.train), *config.data.validation)
  if eyes is None:
    for folder in folders:
      record = records.Shards([folder])[0]
      seen = record.meta.get("frames_by")
      if "frame_features" in record.arrays and seen != "clip":
        raise errors.InputError(
          folder, "its frame_features are not by CLIP: name a frames_from"
        )
    return
  eyes.require("frame_encoder")
  eyes.require_preset("predictor")
  if eyes.config["frames"].get("tower"):
    raise errors.InputError(
      eyes.folder / "config.json",
      "frames.tower: the labels' eyes are a frame encoder without a tower",
    )
  mine = release.digest(eyes.parts["frame_encoder"])
  for folder in folders:
    found = records.Shards([folder])[0].meta.get("pictures_by")
    if found != mine:
      raise errors.InputError(
        folder,
        f"its pictures are not by the frame encoder of {config.frames_from}: "
        "run `python -m data_prep.see`",
      )
