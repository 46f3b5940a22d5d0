"""The denoiser's task with adapters: a trained model stays, LoRA learns.

The group "lora" moves; "model", what `init_from` holds, is only given.
"""

from __future__ import annotations

import pathlib
from collections.abc import Mapping
from typing import Any

import jax
import ml_collections
from jaxtyping import Array, Key

from vta import errors
from vta.encoders import vocabulary
from vta.interop import release
from vta.training import adapted_release, lora, optimizer, state
from vta.training.tasks import denoiser

FOLDER = "lora"  # beside the release


class AdapterTask(denoiser.DenoiserTask):
  """Trains the group "lora" on a release."""

  averaged = ("lora",)

  def __init__(self, config: ml_collections.ConfigDict):
    if not config.init_from:
      raise errors.InputError(
        "config: init_from", "is empty: adapters need a release to learn beside"
      )
    if config.frozen:
      raise errors.InputError(
        "config: frozen", "adapters learn and nothing else: leave it empty"
      )
    try:
      self._lora = lora.LoraConfig(**config.lora.to_dict())
    except ValueError as error:
      raise errors.InputError("config: lora", str(error)) from None
    super().__init__(config)
    self.phases = (
      state.Phase(
        group="lora",
        loss=self._adapted_loss,
        optimizer=optimizer.adamw(config.optimizer, config.steps),
      ),
    )

  def init(self, key: Key[Array, ""]) -> state.Params:
    first, second = jax.random.split(key)
    params = super().init(first)
    try:
      adapters = lora.init(second, params["model"], self._lora)
    except ValueError as error:
      raise errors.InputError("config: lora", str(error)) from None
    return {**params, "lora": adapters}

  def evaluate(self, params: state.Params) -> Mapping[str, float]:
    return super().evaluate(self._attached(params))

  def release(self, params: state.Params, folder: pathlib.Path) -> None:
    """Writes the adapters alone, and merged with the base in `folder`.

    Of the base every other number, and its type, stays as it is.
    """
    alone = folder.with_name(FOLDER)
    lora.save(
      alone,
      lora.Adapters(
        config=self._lora,
        base=release.digest(params["model"]["denoiser"]),
        tree=params["lora"],
      ),
    )
    adapted_release.merge(
      pathlib.Path(self._config.init_from),
      [(alone, 1.0)],
      folder,
      guidance=self._config.guidance.to_dict(),
    )
    self.of_preset.finish(folder)
    if (folder / vocabulary.FILE).exists():
      vocabulary.Vocabulary.load(folder).save(alone)

  def _adapted_loss(
    self, params: state.Params, batch: Any, key: Key[Array, ""]
  ) -> tuple[Array, state.Metrics]:
    return self.objective.loss(self._attached(params), batch, key)

  def _attached(self, params: state.Params) -> state.Params:
    scale = self._lora.scale
    return {"model": lora.attach(params["model"], params["lora"], scale=scale)}
