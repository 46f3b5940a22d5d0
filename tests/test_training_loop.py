"""The loop keeps its promises: exact resume, phases in turns, named errors."""

import json
import os
import signal

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import optax
import pytest

from vta import errors
from vta.training import loop, optimizer, state


class LineTask:
  """Fits a line; a second group is moved on alternate steps."""

  averaged = ("line",)

  def __init__(self, *, on_batch=None):
    adam = optax.adam(0.1)
    self.phases = (
      state.Phase(group="line", loss=self._loss, optimizer=adam),
      state.Phase(group="other", loss=self._other, optimizer=adam, first=4),
    )
    self._on_batch = on_batch or (lambda step: None)
    self.released = None

  def init(self, key):
    return {
      "line": {"w": jax.random.normal(key, (3,)), "b": jnp.zeros(())},
      "other": {"v": jnp.zeros(2)},
    }

  def batches(self, start):
    step = start
    while True:
      self._on_batch(step)
      rng = np.random.default_rng([7, step])
      x = rng.normal(size=(8, 3)).astype(np.float32)
      yield {"x": x, "y": x.sum(axis=1)}
      step += 1

  def evaluate(self, params):
    return {"validation/loss": float(jnp.sum(params["line"]["w"]))}

  def release(self, params, folder):
    folder.mkdir(parents=True)
    self.released = params

  def _loss(self, params, batch, key):
    # The noise makes the result depend on the step's key.
    noise = 0.1 * jax.random.normal(key, batch["y"].shape)
    predicted = batch["x"] @ params["line"]["w"] + params["line"]["b"]
    return jnp.mean(jnp.square(predicted - batch["y"] + noise)), {}

  def _other(self, params, batch, key):
    del batch, key
    return jnp.sum(jnp.square(params["other"]["v"] - 1.0)), {}


def config(**changes):
  values = {
    "seed": 3,
    "steps": 12,
    "evaluate_every": 5,
    "save_every": 6,
    "log_every": 1,
    "keep": 3,
    "ema_maximum": 0.9,
    "ema_power": 0.75,
  }
  return ml_collections.ConfigDict({**values, **changes}).lock()


def final_state(workdir, task):
  """What the last checkpoint of a workdir holds."""
  from vta.training import checkpoint

  like = state.create(
    task.init(jax.random.key(0)), task.phases, averaged=task.averaged
  )
  checkpoints = checkpoint.Checkpoints(workdir, keep=3)
  restored = checkpoints.restore(checkpoints.latest(), like)
  checkpoints.close()
  return jax.tree.map(np.asarray, restored)


def assert_identical(one, two):
  flat_one, tree_one = jax.tree.flatten(one)
  flat_two, tree_two = jax.tree.flatten(two)
  assert tree_one == tree_two
  for a, b in zip(flat_one, flat_two, strict=True):
    np.testing.assert_array_equal(a, b)


def test_stopped_and_resumed_equals_uninterrupted(tmp_path):
  whole = LineTask()
  assert loop.train(whole, config(), tmp_path / "whole") == 0

  def stop_at_seven(step):
    if step == 7:
      os.kill(os.getpid(), signal.SIGTERM)

  parts = tmp_path / "parts"
  interrupted = LineTask(on_batch=stop_at_seven)
  assert loop.train(interrupted, config(), parts) == loop.STOPPED
  assert interrupted.released is None
  assert loop.train(LineTask(), config(), parts) == 0
  assert_identical(
    final_state(tmp_path / "whole", whole), final_state(parts, whole)
  )


def test_phases_take_turns_from_their_first_step(tmp_path):
  seen = {}

  class Recording(LineTask):
    def evaluate(self, params):
      return {"validation/loss": 0.0}

  task = Recording()
  loop.train(task, config(), tmp_path)
  rows = [
    json.loads(line)
    for line in (tmp_path / "metrics.jsonl").read_text().splitlines()
  ]
  for row in rows:
    for name in row:
      if name.endswith("/loss") and not name.startswith("validation"):
        seen[row["step"]] = name.split("/")[0]
  expected = {s: "other" if s >= 4 and s % 2 else "line" for s in range(12)}
  assert seen == expected


def test_a_workdir_of_another_config_is_refused(tmp_path):
  loop.train(LineTask(), config(steps=1), tmp_path)
  with pytest.raises(errors.InputError, match=r"config\.json: .*seed"):
    loop.train(LineTask(), config(steps=1, seed=4), tmp_path)


def test_a_longer_run_continues_a_shorter_one(tmp_path):
  loop.train(LineTask(), config(steps=6), tmp_path / "a")
  (tmp_path / "a" / "release").rmdir()
  task = LineTask()
  assert loop.train(task, config(steps=12), tmp_path / "a") == 0
  loop.train(LineTask(), config(), tmp_path / "b")
  assert_identical(
    final_state(tmp_path / "a", task), final_state(tmp_path / "b", task)
  )


def test_fewer_steps_than_are_done_only_write_the_release(tmp_path):
  loop.train(LineTask(), config(), tmp_path / "a")
  (tmp_path / "a" / "release").rmdir()
  task = LineTask()
  assert loop.train(task, config(steps=5), tmp_path / "a") == 0
  done = final_state(tmp_path / "a", task)
  assert done.step == 12
  assert_identical(jax.tree.map(np.asarray, task.released), done.ema)


ADAMW = ml_collections.ConfigDict(
  {
    "learning_rate": 0.1,
    "b1": 0.9,
    "b2": 0.99,
    "weight_decay": 0.1,
    "clip_norm": 1.0,
    "warmup": 0.0,
    "inverse_gamma": 1e6,
    "cooldown": 0.0,
  }
)


def test_frozen_parts_stay_and_the_rest_moves_as_without_them():
  params = {"still": {"w": jnp.ones((2, 2))}, "moves": {"w": jnp.ones((2, 2))}}
  grads = jax.tree.map(lambda x: 3.0 * x, params)
  both = optimizer.adamw(ADAMW, 10, frozen=("still",))
  updates, _ = both.update(grads, both.init(params), params)
  np.testing.assert_array_equal(updates["still"]["w"], 0.0)
  alone = optimizer.adamw(ADAMW, 10)
  part = {"moves": params["moves"]}
  expected, _ = alone.update({"moves": grads["moves"]}, alone.init(part), part)
  assert np.all(expected["moves"]["w"] < -0.05)
  np.testing.assert_allclose(updates["moves"]["w"], expected["moves"]["w"])
  with pytest.raises(ValueError, match="stil'"):
    optimizer.adamw(ADAMW, 10, frozen=("stil",)).init(params)
  below = optimizer.moving(params, ("moves/w",))
  assert below == {"still": {"w": True}, "moves": {"w": False}}


def test_no_gradient_is_computed_for_what_is_frozen():
  """The step's metrics are of the rest, and its program is smaller."""

  def loss(params, batch, key):
    del key
    line = params["line"]
    hidden = jnp.tanh(batch @ line["first"])
    return jnp.mean(jnp.square(hidden @ line["second"])), {}

  batch = jnp.linspace(-1.0, 1.0, 2048).reshape(64, 32)
  ones = jnp.full((32, 32), 0.1)
  flops, norms = {}, {}
  for frozen in ((), ("first",)):
    phase = state.Phase(
      group="line",
      loss=loss,
      optimizer=optimizer.adamw(ADAMW, 5, frozen=frozen),
      frozen=frozen,
    )
    params = {"line": {"first": ones.copy(), "second": ones.copy()}}
    start = state.create(params, (phase,), averaged=("line",))
    step = state.make_step(phase, seed=0, ema_maximum=0.9, ema_power=0.75)
    flops[frozen] = step.lower(start, batch).compile().cost_analysis()["flops"]
    _, metrics = step(start, batch)
    norms[frozen] = float(metrics["line/gradient_norm"])
  assert flops["first",] < 0.8 * flops[()]
  only = jax.grad(
    lambda second: loss(
      {"line": {"first": ones, "second": second}}, batch, None
    )[0]
  )(ones)
  np.testing.assert_allclose(norms["first",], jnp.linalg.norm(only), rtol=1e-6)
  assert norms[()] > 1.01 * norms["first",]


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path):
  class Broken(LineTask):
    def batches(self, start):
      for batch in super().batches(start):
        yield {**batch, "y": batch["y"] * np.float32("nan")}

  with pytest.raises(FloatingPointError, match="line/loss"):
    loop.train(Broken(), config(), tmp_path)


def test_restore_names_every_mismatch(tmp_path):
  loop.train(LineTask(), config(), tmp_path)

  class Wider(LineTask):
    def init(self, key):
      params = super().init(key)
      return {**params, "line": {"w": jnp.zeros(4), "c": jnp.zeros(())}}

  with pytest.raises(errors.InputError) as caught:
    loop.train(Wider(), config(), tmp_path)
  message = str(caught.value)
  assert "params/line/c is missing" in message
  assert "params/line/b is not in the model" in message
  assert "params/line/w has shape (3,), the model's is (4,)" in message
