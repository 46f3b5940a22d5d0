"""The train loop: one for the codec, the denoiser and the predictors.

A task says what is trained (`Task`), a config with which numbers; this file
says in which order things happen, and that order is what makes a resumed run
equal to one that was never stopped:

  evaluate with the parameters of step n -> save the state of step n -> take
  batch n -> dispatch step n -> log step n - 1

Batch and randomness follow from the step number alone, so the state is all
that needs saving. Logging one step late keeps the host ahead of the device:
nothing in the loop waits for the step that was just dispatched.
"""

from __future__ import annotations

import json
import os
import pathlib
import signal
import threading
from collections.abc import Iterator, Mapping
from typing import Protocol, runtime_checkable

import jax
import ml_collections
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from vta import errors
from vta.training import checkpoint, randomness, state, telemetry

# What a scheduler reads as "stopped on request, start me again": the code
# that a shell gives to a process which SIGTERM ended.
STOPPED = 128 + signal.SIGTERM


@runtime_checkable
class Task(Protocol):
  """What a training run needs to know of what it trains."""

  # The groups of parameters that a release holds, and thus the EMA.
  averaged: tuple[str, ...]
  # The updates that take turns, while active.
  phases: tuple[state.Phase, ...]

  def init(self, key: jax.Array) -> state.Params:
    """Fresh parameters by group, or those that the config starts from."""

  def batches(self, start: int) -> Iterator[Mapping[str, np.ndarray]]:
    """Endless training batches from batch `start` on."""

  def evaluate(self, params: state.Params) -> Mapping[str, float]:
    """Validation figures of the averaged parameters, on fixed noise."""

  def release(self, params: state.Params, folder: pathlib.Path) -> None:
    """Writes the averaged parameters as a release folder."""


def train(
  task: Task, config: ml_collections.ConfigDict, workdir: str | os.PathLike
) -> int:
  """Trains `task` to `config.steps`, resuming whatever `workdir` holds.

  Returns:
    0 when all steps are done, `STOPPED` when SIGTERM or SIGINT asked for an
    early end (the state was saved first).

  Raises:
    InputError: when the workdir belongs to another config.
    FloatingPointError: when a metric is not finite.
  """
  workdir = pathlib.Path(workdir)
  workdir.mkdir(parents=True, exist_ok=True)
  _claim(workdir, config)

  mesh = jax.make_mesh(
    (jax.device_count(),),
    ("data",),
    axis_types=(jax.sharding.AxisType.Auto,),
  )
  replicated = NamedSharding(mesh, PartitionSpec())
  split = NamedSharding(mesh, PartitionSpec("data"))

  # Created under jit, so that every leaf is born where it will live.
  create = jax.jit(
    lambda params: state.create(params, task.phases, averaged=task.averaged),
    out_shardings=replicated,
  )
  current = create(task.init(randomness.stream(config.seed, "init")))
  checkpoints = checkpoint.Checkpoints(workdir, keep=config.keep)
  step = checkpoints.latest() or 0
  if step:
    current = checkpoints.restore(step, current)

  updates = [
    state.make_step(
      phase,
      seed=config.seed,
      ema_maximum=config.ema_maximum,
      ema_power=config.ema_power,
    )
    for phase in task.phases
  ]
  log = telemetry.Telemetry(workdir, steps=config.steps, start=step)
  stop = _stop_on_signal()
  batches = task.batches(step)
  pending: tuple[int, state.Metrics] | None = None
  try:
    while True:
      # Resumed with fewer steps than it has, a run only writes its release.
      last = step >= config.steps
      if step % config.evaluate_every == 0 or last:
        log.log(step, task.evaluate(current.ema))
      if step and (step % config.save_every == 0 or last or stop.is_set()):
        checkpoints.save(step, current, telemetry.describe_run(config))
      if last or stop.is_set():
        break
      batch = jax.tree.map(
        lambda leaf: jax.make_array_from_process_local_data(split, leaf),
        next(batches),
      )
      active = [i for i, p in enumerate(task.phases) if p.active(step)]
      current, metrics = updates[active[step % len(active)]](current, batch)
      if pending is not None and pending[0] % config.log_every < len(active):
        rate = {"steps_per_second": log.rate(pending[0])}
        log.log(pending[0], {**pending[1], **rate})
      pending = (step, metrics)
      step += 1
      log.advance()
    if pending is not None:
      log.log(*pending)
  finally:
    checkpoints.close()
    log.close()
  if stop.is_set() and step < config.steps:
    return STOPPED
  task.release(current.ema, workdir / "release")
  return 0


def _claim(workdir: pathlib.Path, config: ml_collections.ConfigDict) -> None:
  """Writes the config into a fresh workdir, or compares it with what is there.

  `steps` and the intervals may change, a longer run continues a shorter one;
  so may `guidance`, which only the release speaks of.
  """
  intervals = {"evaluate_every", "save_every", "log_every"}
  free = {"steps", "keep", "guidance"} | intervals
  path = workdir / "config.json"
  mine = json.loads(config.to_json_best_effort())
  if path.exists():
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
  path.write_text(json.dumps(mine, indent=2))


def _stop_on_signal() -> threading.Event:
  """An event that SIGTERM and SIGINT set; the loop then saves and returns."""
  stop = threading.Event()
  if threading.current_thread() is threading.main_thread():
    for number in (signal.SIGTERM, signal.SIGINT):
      signal.signal(number, lambda *_: stop.set())
  return stop
