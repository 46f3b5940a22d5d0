"""Checkpoints of a run: written by Orbax, checked on the way back in."""

from __future__ import annotations

import pathlib
from typing import Any

import jax
import orbax.checkpoint as ocp
from jaxtyping import PyTree

from vta import errors
from vta.interop import trees


class Checkpoints:
  """The checkpoints under `workdir/checkpoints`, newest last."""

  def __init__(self, workdir: pathlib.Path, *, keep: int):
    self._folder = workdir.resolve() / "checkpoints"
    self._manager = ocp.CheckpointManager(
      self._folder,
      options=ocp.CheckpointManagerOptions(max_to_keep=keep, create=True),
      # Named here, or a fresh process cannot read what a checkpoint holds.
      item_handlers={
        "state": ocp.StandardCheckpointHandler(),
        "meta": ocp.JsonCheckpointHandler(),
      },
    )

  def latest(self) -> int | None:
    """The newest step saved, None in a fresh workdir."""
    return self._manager.latest_step()

  def save(self, step: int, state: PyTree, meta: dict[str, Any]) -> None:
    """Starts writing; training goes on meanwhile."""
    self._manager.save(
      step,
      args=ocp.args.Composite(
        state=ocp.args.StandardSave(state), meta=ocp.args.JsonSave(meta)
      ),
    )

  def restore(self, step: int, like: PyTree) -> PyTree:
    """Reads the state of `step` into the shapes and shardings of `like`.

    Raises:
      InputError: naming every leaf that is missing, left over or mis-shaped.
    """
    saved = self._manager.item_metadata(step)["state"]
    wrong = trees.mismatches(like, saved.tree)
    if wrong:
      raise errors.InputError(
        self._folder / str(step),
        "does not fit this config: " + "; ".join(wrong),
      )
    restored = self._manager.restore(
      step,
      args=ocp.args.Composite(
        state=ocp.args.StandardRestore(
          jax.tree.map(ocp.utils.to_shape_dtype_struct, like)
        )
      ),
    )
    return restored["state"]

  def close(self) -> None:
    """Waits for what is still being written."""
    self._manager.wait_until_finished()
    self._manager.close()
