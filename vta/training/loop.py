"""The train loop: one for the codec, the denoiser and the predictors.

A task says what is trained (`Task`), a config with which numbers; this file
says in which order things happen, and that order is what makes a resumed run
equal to one that was never stopped:

  evaluate with the parameters of step n -> save the state of step n -> take
  batch n -> dispatch step n -> log step n - 1

Batch and randomness follow from the step number alone, so the state is all
that needs saving. Logging one step late keeps the host ahead of the device:
nothing in the loop waits for the step that was just dispatched.

A config that names a validation figure as `best` guards against overfitting:
the parameters that evaluation liked most are kept apart and become the release,
and after `patience` evaluations without a better one the run is over.
"""

from __future__ import annotations

import json
import os
import pathlib
import signal
import threading
from collections.abc import Iterator, Mapping
from typing import Any, Protocol, runtime_checkable

import jax
import ml_collections
import numpy as np
from jax.sharding import NamedSharding

from vta import errors, files
from vta.interop import release
from vta.training import (
  checkpoint,
  optimizer,
  randomness,
  sharding,
  state,
  telemetry,
)
from vta.training import mesh as mesh_lib

# What a scheduler reads as "stopped on request, start me again": the code
# that a shell gives to a process which SIGTERM ended.
STOPPED = 128 + signal.SIGTERM
CONFIG = "config.json"  # of a workdir
# What may change within a run: how often it looks at itself, how long it waits,
# on which mesh it goes on, and guidance, which only the release speaks of.
_INTERVALS = ("evaluate_every", "save_every", "log_every", "patience")
_FREE = frozenset((*_INTERVALS, "keep", "guidance", "mesh"))


@runtime_checkable
class Task(Protocol):
  """What a training run needs to know of what it trains.

  Groups of parameters that no phase moves are what the run was given: they are
  not saved, and `init` has to give the same ones again.
  """

  # The groups of parameters that a release holds, and thus the EMA.
  averaged: tuple[str, ...]
  # The updates that take turns, while active.
  phases: tuple[state.Phase, ...]

  def init(self, key: jax.Array) -> state.Params:
    """Fresh parameters by group, or those that the config starts from."""

  def batches(self, start: int) -> Iterator[Mapping[str, np.ndarray]]:
    """Endless training batches from batch `start` on."""

  def evaluate(self, params: state.Params) -> Mapping[str, float]:
    """Validation figures of the averaged and given groups, on fixed noise."""

  def release(self, params: state.Params, folder: pathlib.Path) -> None:
    """Writes the averaged and given groups as a release folder."""


def train(
  task: Task, config: ml_collections.ConfigDict, workdir: str | os.PathLike
) -> int:
  """Trains `task` to `config.steps`, resuming whatever `workdir` holds.

  Returns:
    0 when all steps are done or no longer help, `STOPPED` when SIGTERM or
    SIGINT asked for an early end (the state was saved first).

  Raises:
    InputError: when the config cannot be trained by, or the workdir belongs to
      another one or was given other parameters to start from.
    FloatingPointError: when a metric is not finite.
  """
  mesh = mesh_lib.make(dict(config.get("mesh", {})))
  _check_numbers(config, shares=mesh.shape["data"] * mesh.shape["fsdp"])
  metric, patience = config.get("best", ""), config.get("patience", 0)
  if patience < 0 or (patience and not metric):
    raise errors.InputError(
      "config: patience",
      f"{patience} evaluations, of which figure? best is empty"
      if patience > 0
      else f"{patience} is below 0, which stands for no limit",
    )
  workdir = pathlib.Path(workdir)
  workdir.mkdir(parents=True, exist_ok=True)
  _claim(workdir, config)
  with mesh_lib.use(mesh):
    return _train(task, config, workdir, mesh)


def _train(
  task: Task,
  config: ml_collections.ConfigDict,
  workdir: pathlib.Path,
  mesh: jax.sharding.Mesh,
) -> int:
  params = task.init(randomness.stream(config.seed, "init"))
  for phase in task.phases:
    try:
      optimizer.moving(params[phase.group], phase.frozen)
    except ValueError as error:
      raise errors.InputError("config: frozen", str(error)) from None
  moved = {phase.group for phase in task.phases}
  params = sharding.place(params, mesh)
  fixed = {k: v for k, v in params.items() if k not in moved}
  current = _create(task, {k: v for k, v in params.items() if k in moved}, mesh)
  del params
  meta = telemetry.describe_run(config)
  if fixed:
    meta["given"] = release.digest(fixed)
  checkpoints = checkpoint.Checkpoints(workdir, keep=config.keep)
  step = checkpoints.latest() or 0
  if step:
    if checkpoints.meta(step).get("given") != meta.get("given"):
      raise errors.InputError(
        workdir, "was trained on other given parameters than these"
      )
    current = checkpoints.restore(step, current)
  metric, patience = config.get("best", ""), config.get("patience", 0)
  best = checkpoint.Best(workdir, metric) if metric else None

  split = NamedSharding(mesh, mesh_lib.BATCH)
  updates = [
    state.make_step(
      phase,
      seed=config.seed,
      ema_maximum=config.ema_maximum,
      ema_power=config.ema_power,
      out_shardings=jax.tree.map(lambda leaf: leaf.sharding, current),
    )
    for phase in task.phases
  ]
  log = telemetry.Telemetry(workdir, steps=config.steps, start=step)
  batches = task.batches(step)
  pending: tuple[int, state.Metrics] | None = None
  stop = threading.Event()
  previous = _set_on_signal(stop)
  try:
    while True:
      # Resumed with fewer steps than it has, a run only writes its release.
      last = step >= config.steps
      if step % config.evaluate_every == 0 or last:
        figures = task.evaluate({**fixed, **current.ema})
        log.log(step, figures)
        if best is not None:
          best.consider(step, figures, current.ema)
          since = best.last.step - best.score.step
          last |= 0 < patience * config.evaluate_every <= since
          log.log(step, best.figures())
      if step and (step % config.save_every == 0 or last or stop.is_set()):
        checkpoints.save(step, current, meta)
      if last or stop.is_set():
        break
      batch = jax.tree.map(
        lambda leaf: jax.make_array_from_process_local_data(split, leaf),
        next(batches),
      )
      active = [i for i, p in enumerate(task.phases) if p.active(step)]
      current, metrics = updates[active[step % len(active)]](
        current, fixed, batch
      )
      if pending is not None and pending[0] % config.log_every < len(active):
        rate = {"steps_per_second": log.rate(pending[0])}
        log.log(pending[0], {**pending[1], **rate})
      pending = (step, metrics)
      step += 1
      log.advance()
    if pending is not None:
      log.log(*pending)
    averaged = current.ema
    if best is not None and last:
      averaged = best.restore(averaged)
  finally:
    checkpoints.close()
    if best is not None:
      best.close()
    log.close()
    for number, handler in previous.items():
      signal.signal(number, handler)
  if not last:
    return STOPPED
  if best is not None:
    print(best.verdict())
  task.release({**fixed, **averaged}, workdir / "release")
  return 0


def _create(
  task: Task, params: state.Params, mesh: jax.sharding.Mesh
) -> state.TrainState:
  """A state at step 0, every leaf of it born where it will live."""

  def create(params):
    return state.create(params, task.phases, averaged=task.averaged)

  made = sharding.shardings(jax.eval_shape(create, params), mesh)
  return jax.jit(create, out_shardings=made)(params)


def _check_numbers(config: ml_collections.ConfigDict, *, shares: int) -> None:
  """Raises InputError for numbers that no loop can run by.

  Args:
    config: the run's.
    shares: what the mesh cuts a batch into.
  """
  for name in ("evaluate_every", "save_every", "log_every", "batch_size"):
    if config.get(name, 1) < 1:
      raise errors.InputError(
        f"config: {name}", f"is {config[name]}, it must be 1 or more"
      )
  batches = {
    "batch_size": config.get("batch_size", 0),
    "data.validation_batch": config.get("data", {}).get("validation_batch", 0),
  }
  for name, size in batches.items():
    if size % shares:
      raise errors.InputError(
        f"config: {name}",
        f"{size} clips cannot be shared by {shares} groups of devices",
      )


def check_config(
  path: pathlib.Path,
  config: ml_collections.ConfigDict,
  *,
  longer: bool = False,
) -> None:
  """Is a run's config this one, but for the fields that may change?

  Args:
    path: the run's.
    config: the one that it should be.
    longer: whether it may be for other steps too: a run is continued.

  Raises:
    InputError: naming the fields that differ.
  """
  free = _FREE | {"steps"} if longer else _FREE
  mine = json.loads(config.to_json_best_effort())
  theirs = json.loads(path.read_text())
  changed = sorted(
    key
    for key in (mine.keys() | theirs.keys()) - free
    if mine.get(key) != theirs.get(key)
  )
  if changed:
    raise errors.InputError(
      path, f"this workdir was trained with other {', '.join(changed)}"
    )


def _claim(workdir: pathlib.Path, config: ml_collections.ConfigDict) -> None:
  """Writes the config into a fresh workdir, or compares it with what is there.

  A longer run continues a shorter one.
  """
  path = workdir / CONFIG
  mine = json.loads(config.to_json_best_effort())
  if path.exists():
    check_config(path, config, longer=True)
  with files.atomic_path(path) as temporary:
    temporary.write_text(json.dumps(mine, indent=2))


def _set_on_signal(stop: threading.Event) -> dict[int, Any]:
  """SIGTERM and SIGINT set `stop`; returns what handled them before."""
  if threading.current_thread() is not threading.main_thread():
    return {}
  return {
    # None: a handler that is not Python's, which cannot be put back.
    number: signal.signal(number, lambda *_: stop.set()) or signal.SIG_DFL
    for number in (signal.SIGTERM, signal.SIGINT)
  }
