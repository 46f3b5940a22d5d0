"""The loop keeps its promises: exact resume, phases in turns, named errors."""

import dataclasses
import json
import os
import pathlib
import shutil
import signal
import types

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import optax
import pytest

from vta import errors
from vta.training import loop, mesh, optimizer, state, telemetry


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
      "line": {"weight": jax.random.normal(key, (3,)), "bias": jnp.zeros(())},
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
    return {"validation/loss": float(jnp.sum(params["line"]["weight"]))}

  def release(self, params, folder):
    folder.mkdir(parents=True)
    self.released = params

  def _loss(self, params, batch, key):
    # The noise makes the result depend on the step's key.
    noise = 0.1 * jax.random.normal(key, batch["y"].shape)
    predicted = batch["x"] @ params["line"]["weight"] + params["line"]["bias"]
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
  # On whatever mesh there is by then.
  longer = config(steps=12, mesh={"data": 1, "fsdp": -1})
  assert loop.train(task, longer, tmp_path / "a") == 0
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


class GivenTask(LineTask):
  """Fits what a given line, which no phase moves, leaves over."""

  def __init__(self, *, given=0.5, **rest):
    super().__init__(**rest)
    self.phases = self.phases[:1]
    self._given = given

  def init(self, key):
    params = super().init(key)
    return {"line": params["line"], "given": {"bias": jnp.full(3, self._given)}}

  def evaluate(self, params):
    assert float(params["given"]["bias"][0]) == self._given
    return super().evaluate(params)

  def _loss(self, params, batch, key):
    rest = batch["y"] - batch["x"] @ params["given"]["bias"]
    return super()._loss(params, {**batch, "y": rest}, key)


def test_what_no_phase_moves_is_given_and_not_saved(tmp_path):
  whole = GivenTask()
  assert loop.train(whole, config(steps=8), tmp_path / "whole") == 0
  assert set(whole.released) == {"line", "given"}
  np.testing.assert_array_equal(whole.released["given"]["bias"], 0.5)

  def stop_at_three(step):
    if step == 3:
      os.kill(os.getpid(), signal.SIGTERM)

  parts = tmp_path / "parts"
  interrupted = GivenTask(on_batch=stop_at_three)
  assert loop.train(interrupted, config(steps=8), parts) == loop.STOPPED
  with pytest.raises(errors.InputError, match="other given parameters"):
    loop.train(GivenTask(given=0.25), config(steps=8), parts)
  assert loop.train(GivenTask(), config(steps=8), parts) == 0

  class Alone(LineTask):  # fails to restore if there is more, or less
    def init(self, key):
      return {"line": super().init(key)["line"]}

  alone = Alone()
  alone.phases = alone.phases[:1]
  assert_identical(
    final_state(tmp_path / "whole", alone), final_state(parts, alone)
  )


class ScriptedTask(LineTask):
  """Its validation loss is written down beforehand."""

  scores = {0: 9.0, 2: 5.0, 4: 3.0, 6: 4.0, 8: 3.5, 10: 2.0, 12: 6.0}  # noqa: RUF012

  def evaluate(self, params):
    # Which parameters these are is known by them alone.
    self.seen = {**getattr(self, "seen", {})}
    self.seen[float(jnp.sum(params["line"]["weight"]))] = None
    return {"validation/loss": self.scores[2 * (len(self.seen) - 1)]}


def guarded(**changes):
  return config(
    **{
      "best": "validation/loss",
      "patience": 0,
      "evaluate_every": 2,
      "save_every": 3,
      **changes,
    }
  )


def test_the_release_is_of_the_best_evaluation(tmp_path, capsys):
  task = ScriptedTask()
  assert loop.train(task, guarded(), tmp_path) == 0
  # The sixth evaluation was the best one, the seventh the last.
  best = list(task.seen)[5]
  assert float(jnp.sum(task.released["line"]["weight"])) == best
  said = capsys.readouterr().out
  assert "2.0000 at step 10; 6.0000 (+200.0 %) at the last, 12" in said
  rows = [
    json.loads(line)
    for line in (tmp_path / "metrics.jsonl").read_text().splitlines()
  ]
  found = {r["step"]: r for r in rows if "best/step" in r}
  assert [found[s]["best/step"] for s in (0, 2, 4, 6, 12)] == [0, 2, 4, 4, 10]
  assert found[6]["best/excess"] == 1.0
  # The latest state is kept beside it.
  assert final_state(tmp_path, task).step == 12


def test_patience_ends_a_run_and_more_of_it_goes_on(tmp_path, capsys):
  task = ScriptedTask()
  assert loop.train(task, guarded(patience=2), tmp_path) == 0
  assert final_state(tmp_path, task).step == 8
  assert float(jnp.sum(task.released["line"]["weight"])) == list(task.seen)[2]
  assert "3.0000 at step 4; 3.5000 (+16.7 %)" in capsys.readouterr().out
  (tmp_path / "release").rmdir()
  again = ScriptedTask()
  again.seen = dict.fromkeys(list(task.seen)[:-1])
  assert loop.train(again, guarded(patience=3), tmp_path) == 0
  assert float(jnp.sum(again.released["line"]["weight"])) == list(again.seen)[5]


def test_the_best_of_a_resumed_run_is_the_uninterrupted_one_s(tmp_path):
  class Bent(LineTask):
    """Best where the sum of the weights is 1.5."""

    def evaluate(self, params):
      total = float(jnp.sum(params["line"]["weight"]))
      return {"validation/loss": abs(total - 1.5)}

  whole = Bent()
  assert loop.train(whole, guarded(), tmp_path / "whole") == 0

  def crash(step):
    # After the evaluation at 8, whose state no checkpoint has.
    if step == 8:
      raise RuntimeError("power cut")

  parts = tmp_path / "parts"
  with pytest.raises(RuntimeError):
    loop.train(Bent(on_batch=crash), guarded(save_every=4), parts)
  shutil.rmtree(parts / "checkpoints" / "8", ignore_errors=True)
  resumed = Bent()
  assert loop.train(resumed, guarded(save_every=4), parts) == 0
  assert_identical(
    *(jax.tree.map(np.asarray, t.released) for t in (whole, resumed))
  )
  (kept,) = (p.name for p in (parts / "best").iterdir() if p.name.isdigit())
  (other,) = (
    p.name for p in (tmp_path / "whole/best").iterdir() if p.name.isdigit()
  )
  assert kept == other != "12"


def test_nothing_better_than_the_start_is_said(tmp_path, capsys):
  class Worse(ScriptedTask):
    scores = {2 * i: 1.0 + i for i in range(7)}  # noqa: RUF012

  task = Worse()
  assert loop.train(task, guarded(steps=4), tmp_path) == 0
  assert float(jnp.sum(task.released["line"]["weight"])) == next(
    iter(task.seen)
  )
  assert "nothing was better than what the run started from" in (
    capsys.readouterr().out
  )


@pytest.mark.parametrize(
  ("change", "message"),
  [
    ({"best": "", "patience": 2}, "of which figure"),
    ({"patience": -1}, "below 0"),
    ({"best": "validation/accuracy"}, "only validation/loss"),
  ],
)
def test_a_guard_that_cannot_be_is_refused(tmp_path, change, message):
  with pytest.raises(errors.InputError, match=message):
    loop.train(LineTask(), guarded(**change), tmp_path)


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
    flops[frozen] = (
      step.lower(start, {}, batch).compile().cost_analysis()["flops"]
    )
    _, metrics = step(start, {}, batch)
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


@pytest.mark.parametrize(
  ("change", "message"),
  [
    ({"evaluate_every": 0}, "evaluate_every: is 0"),
    ({"save_every": 0}, "save_every: is 0"),
    ({"log_every": -1}, "log_every: is -1"),
    ({"batch_size": 0}, "batch_size: is 0"),
    ({"batch_size": 4}, "batch_size: 4 clips cannot be shared by 3 groups"),
  ],
)
def test_numbers_that_cannot_be_are_named(
  tmp_path, monkeypatch, change, message
):
  three = types.SimpleNamespace(shape={"data": 3, "fsdp": 1, "tensor": 1})
  monkeypatch.setattr(mesh, "make", lambda layout: three)
  with pytest.raises(errors.InputError, match=f"config: {message}"):
    loop.train(LineTask(), config(**change), tmp_path)
  assert not list(tmp_path.iterdir())


def test_what_is_not_there_cannot_be_frozen(tmp_path):
  task = LineTask()
  phase = dataclasses.replace(task.phases[0], frozen=("v",))
  task.phases = (phase, *task.phases[1:])
  with pytest.raises(errors.InputError, match=r"config: frozen: .*'v'"):
    loop.train(task, config(), tmp_path)


def test_a_run_leaves_the_signals_as_they_were(tmp_path):
  def handler(*_):
    """The caller's own."""

  numbers = (signal.SIGTERM, signal.SIGINT)
  before = [signal.signal(number, handler) for number in numbers]
  try:
    loop.train(LineTask(), config(steps=1), tmp_path / "done")

    def crash(step):
      raise RuntimeError(f"step {step}")

    with pytest.raises(RuntimeError, match="step 0"):
      loop.train(LineTask(on_batch=crash), config(), tmp_path / "broken")
    assert [signal.getsignal(number) for number in numbers] == [handler] * 2
  finally:
    for number, theirs in zip(numbers, before, strict=True):
      signal.signal(number, theirs)


def test_a_config_is_replaced_whole_or_not_at_all(tmp_path, monkeypatch):
  loop.train(LineTask(), config(steps=1), tmp_path)
  before = (tmp_path / "config.json").read_text()
  write = pathlib.Path.write_text

  def power_cut(path, text):
    write(path, text[:10])
    raise RuntimeError("power cut")

  with monkeypatch.context() as patch:
    patch.setattr(pathlib.Path, "write_text", power_cut)
    with pytest.raises(RuntimeError):
      loop.train(LineTask(), config(steps=2), tmp_path)
  assert (tmp_path / "config.json").read_text() == before


def test_a_run_needs_no_git(monkeypatch):
  monkeypatch.setenv("PATH", "")
  described = telemetry.describe_run(config())
  assert described["revision"] == "not a git checkout"


def test_restore_names_every_mismatch(tmp_path):
  loop.train(LineTask(), config(), tmp_path)

  class Wider(LineTask):
    def init(self, key):
      params = super().init(key)
      return {**params, "line": {"weight": jnp.zeros(4), "c": jnp.zeros(())}}

  with pytest.raises(errors.InputError) as caught:
    loop.train(Wider(), config(), tmp_path)
  message = str(caught.value)
  assert "params/line/c is missing" in message
  assert "params/line/bias is not in the model" in message
  assert "params/line/weight has shape (3,), the model's is (4,)" in message
