"""The denoiser's task: velocity of noisy latents, under dropped conditions."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import ml_collections
import numpy as np
from jaxtyping import Array, Key

from vta import errors
from vta.data import pipeline
from vta.interop import release
from vta.training import modules, sharding, state
from vta.training.tasks import examples, objective, sets

# Of the configs, what a run may start from.
_STARTS = ("init_from", "base_from", "frames_from", "denoiser_from")


class DenoiserTask:
  """Trains the group "model": the conditioner and the denoiser together.

  Attributes:
    objective: what it is trained down.
    system: the preset, wired up.
    of_preset: how it makes examples of records.
  """

  averaged = objective.Objective.averaged

  def __init__(self, config: ml_collections.ConfigDict):
    self._config = config
    if config.frozen and not any(config.get(name) for name in _STARTS):
      raise errors.InputError(
        "config: frozen",
        f"none of {', '.join(_STARTS)} is set: random numbers would stay",
      )
    whole = release.load(config.codec)
    # It may hold a denoiser too, which is not to stay in memory.
    codec = {"codec": whole.require("codec")}
    self._codec = dataclasses.replace(whole, parts=codec)
    del whole
    examples.check(config, self._codec)
    self.objective = objective.Objective(config, self._codec.config)
    self.system, self.phases = self.objective.system, self.objective.phases
    preset = objective.PRESETS[config.preset]
    self.of_preset = preset(config, self.system, self._codec)
    self._sets = sets.Sets(
      config,
      self.of_preset.example,
      validation_batch=config.data.validation_batch,
      window=self.system.window,
    )
    self._evaluate = jax.jit(self.objective.bucketed_loss)

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
    edges = np.linspace(0.0, 1.0, objective.BUCKETS + 1)

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
      config=self.objective.preset,
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
