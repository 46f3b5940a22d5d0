"""Checkpoints of a run: written by Orbax, checked on the way back in.

checkpoints/<step>   the whole state, to go on from; the newest are kept
best/<step>          the averaged parameters that did best in evaluation
"""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Mapping
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

  def meta(self, step: int) -> dict[str, Any]:
    """What was said of the run when `step` was saved."""
    args = ocp.args.Composite(meta=ocp.args.JsonRestore())
    return self._manager.restore(step, args=args)["meta"]

  def restore(self, step: int, like: PyTree) -> PyTree:
    """Reads the state of `step` into the shapes and shardings of `like`.

    Raises:
      InputError: naming every leaf that is missing, left over or mis-shaped.
    """
    return _restore(self._manager, self._folder, step, "state", like)

  def close(self) -> None:
    """Waits for what is still being written."""
    self._manager.wait_until_finished()
    self._manager.close()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Score:
  """What an evaluation said."""

  step: int
  value: float


class Best:
  """The averaged parameters that did best so far, under `workdir/best`.

  It is a function of what has been evaluated, not of when a run was stopped:
  evaluations that a resumed run does again change nothing.

  Attributes:
    metric: the evaluation's figure that is to be small.
    score: of what is kept, None before the first evaluation.
    last: of the latest evaluation in this process.
  """

  def __init__(self, workdir: pathlib.Path, metric: str):
    self.metric = metric
    self._folder = workdir.resolve() / "best"
    self._manager = ocp.CheckpointManager(
      self._folder,
      options=ocp.CheckpointManagerOptions(
        max_to_keep=1,
        create=True,
        best_fn=lambda metrics: metrics["value"],
        best_mode="min",
      ),
      item_handlers={"ema": ocp.StandardCheckpointHandler()},
    )
    self.score: Score | None = None
    self.last: Score | None = None
    kept = self._manager.best_step()
    if kept is not None:
      self.score = Score(
        step=kept, value=float(self._manager.metrics(kept)["value"])
      )

  def consider(
    self, step: int, metrics: Mapping[str, float], ema: PyTree
  ) -> None:
    """Keeps the parameters of this evaluation if none was better.

    Raises:
      InputError: the evaluation has no such figure.
    """
    if self.metric not in metrics:
      raise errors.InputError(
        "config: best",
        f"no evaluation gives {self.metric!r}, only {', '.join(metrics)}",
      )
    self.last = Score(step=step, value=float(metrics[self.metric]))
    if self.score is not None and (
      self.last.value >= self.score.value or step == self.score.step
    ):
      return
    self.score = self.last
    # Forced: on the way back to its best, a resumed run may find a better one.
    self._manager.save(
      step,
      args=ocp.args.Composite(ema=ocp.args.StandardSave(ema)),
      metrics={"value": self.score.value},
      force=True,
    )

  def restore(self, like: PyTree) -> PyTree:
    """Reads what is kept into the shapes and shardings of `like`.

    Raises:
      InputError: naming every leaf that does not fit.
    """
    self._manager.wait_until_finished()
    return _restore(self._manager, self._folder, self.score.step, "ema", like)

  def figures(self) -> dict[str, float]:
    """The step that is kept, and by how much the latest is worse."""
    return {
      "best/step": float(self.score.step),
      "best/excess": self.last.value - self.score.value,
    }

  def verdict(self) -> str:
    """Which step is kept, and how far the last one is from it."""
    best, last = self.score, self.last
    said = f"best {self.metric}: {best.value:.4f} at step {best.step}"
    if last.step != best.step:
      worse = 100 * (last.value - best.value) / abs(best.value or 1.0)
      said += f"; {last.value:.4f} ({worse:+.1f} %) at the last, {last.step}"
    if best.step == 0:
      said += "; nothing was better than what the run started from"
    return said

  def close(self) -> None:
    """Waits for what is still being written."""
    self._manager.wait_until_finished()
    self._manager.close()


def _restore(
  manager: ocp.CheckpointManager,
  folder: pathlib.Path,
  step: int,
  item: str,
  like: PyTree,
) -> PyTree:
  saved = manager.item_metadata(step)[item]
  wrong = trees.mismatches(like, saved.tree)
  if wrong:
    raise errors.InputError(
      folder / str(step), "does not fit this config: " + "; ".join(wrong)
    )
  like = jax.tree.map(ocp.utils.to_shape_dtype_struct, like)
  args = ocp.args.Composite(**{item: ocp.args.StandardRestore(like)})
  return manager.restore(step, args=args)[item]
