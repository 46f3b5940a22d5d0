"""The training state and the step that advances it.

Parameters that no phase moves, what adapters are trained on, are no part of the
state: they are handed to every step as they are, and have neither gradients
nor an optimizer's state, nor a place in the moving average or a checkpoint.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import struct
from jaxtyping import Array, Key, PyTree

from vta.training import optimizer as optimizers
from vta.training import randomness

Params = Mapping[str, PyTree]
Metrics = Mapping[str, Array]
# (parameters of all groups, batch, key) -> (scalar loss, metrics)
Loss = Callable[[Params, Any, Key[Array, ""]], tuple[Array, Metrics]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Phase:
  """One kind of update: which parameter group moves, and down which loss.

  A task with several phases takes them in turn, one a step: the codec moves
  its autoencoder, then its discriminator.

  Attributes:
    group: the parameters that move.
    loss: of all parameters; differentiated by the group's alone.
    optimizer: the group's; phases of one group share one.
    frozen: paths in the group of what the optimizer leaves alone, so that no
      gradient is computed for it.
    first: step from which the phase takes part.
    last: step from which it no longer does; None is never.
  """

  group: str
  loss: Loss
  optimizer: optax.GradientTransformation
  frozen: tuple[str, ...] = ()
  first: int = 0
  last: int | None = None

  def active(self, step: int) -> bool:
    """Whether the phase takes part at `step`."""
    return self.first <= step and (self.last is None or step < self.last)


@struct.dataclass
class TrainState:
  """Everything that a run carries from one step to the next.

  Attributes:
    step: updates done so far, of all phases together; an int32 scalar (not
      annotated as one, since Orbax rebuilds the tree with None in its leaves).
    params: group name -> parameters, float32, of the groups that phases move.
    optimizer: group name -> that group's optimizer state.
    ema: moving average of the groups that a release holds.
  """

  step: Any
  params: Params
  optimizer: Mapping[str, PyTree]
  ema: Params


def create(
  params: Params, phases: tuple[Phase, ...], *, averaged: tuple[str, ...]
) -> TrainState:
  """A state at step 0; groups in `averaged` get a moving average.

  Args:
    params: of the groups that phases move.
    phases: the updates.
    averaged: groups that a release needs.
  """
  return TrainState(
    step=jnp.zeros((), jnp.int32),
    params=params,
    optimizer={p.group: p.optimizer.init(params[p.group]) for p in phases},
    # A copy: jit may hand back one buffer for both, which cannot be donated.
    ema={group: jax.tree.map(jnp.copy, params[group]) for group in averaged},
  )


def make_step(
  phase: Phase,
  *,
  seed: int,
  ema_maximum: float,
  ema_power: float,
  out_shardings: PyTree = None,
) -> Callable[[TrainState, Params, Any], tuple[TrainState, Metrics]]:
  """The jitted update of one phase; the state is donated.

  It takes the state, the groups that no phase moves, and a batch. These groups
  are an argument and no constant: a program would hold a copy of its constants.

  Args:
    phase: the update.
    seed: of the run.
    ema_maximum, ema_power: see `optimizer.ema_decay`.
    out_shardings: of the state; None leaves them to the compiler.
  """

  def step(
    state: TrainState, fixed: Params, batch: Any
  ) -> tuple[TrainState, Metrics]:
    key = randomness.stream(seed, phase.group, state.step)

    moves = optimizers.moving(state.params[phase.group], phase.frozen)

    def loss(group_params):
      group_params = jax.tree.map(
        lambda move, leaf: leaf if move else jax.lax.stop_gradient(leaf),
        moves,
        group_params,
      )
      params = {**fixed, **state.params, phase.group: group_params}
      return phase.loss(params, batch, key)

    (value, metrics), grads = jax.value_and_grad(loss, has_aux=True)(
      state.params[phase.group]
    )
    updates, optimizer = phase.optimizer.update(
      grads, state.optimizer[phase.group], state.params[phase.group]
    )
    moved = optax.apply_updates(state.params[phase.group], updates)
    ema = dict(state.ema)
    if phase.group in ema:
      decay = optimizers.ema_decay(
        state.step, maximum=ema_maximum, power=ema_power
      )
      ema[phase.group] = jax.tree.map(
        lambda old, new: new + decay * (old - new), ema[phase.group], moved
      )
    metrics = {
      f"{phase.group}/loss": value,
      f"{phase.group}/gradient_norm": optax.tree.norm(grads),
      **{f"{phase.group}/{name}": v for name, v in metrics.items()},
    }
    state = TrainState(
      step=state.step + 1,
      params={**state.params, phase.group: moved},
      optimizer={**state.optimizer, phase.group: optimizer},
      ema=ema,
    )
    return state, metrics

  return jax.jit(step, donate_argnums=0, out_shardings=(out_shardings, None))
