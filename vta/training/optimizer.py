"""AdamW, and the learning-rate schedule that all tasks share."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import ml_collections
import optax
from jaxtyping import PyTree

from vta.interop import trees


def schedule(config: ml_collections.ConfigDict, steps: int) -> optax.Schedule:
  """Stable Audio's InverseLR with, where asked for, a linear cooldown.

  lr(n) = lr0 (1 - warmup^(n+1)) (1 + n / inverse_gamma)^-1/2, papers.md 3.2;
  over the last `cooldown` of the `steps` it falls linearly to zero (ours).
  """

  def learning_rate(n):
    warm = 1.0 - config.warmup ** (n + 1.0)
    decay = (1.0 + n / config.inverse_gamma) ** -0.5
    left = jnp.clip((steps - n) / max(config.cooldown * steps, 1), 0.0, 1.0)
    return config.learning_rate * warm * decay * left

  return learning_rate


def adamw(
  config: ml_collections.ConfigDict, steps: int, *, frozen: Sequence[str] = ()
) -> optax.GradientTransformation:
  """AdamW with global-norm clipping; decays matrices, not gains and biases.

  Args:
    config: a config's optimizer section.
    steps: of the whole run.
    frozen: paths of what does not move; see `moving`.
  """
  trained = optax.chain(
    optax.clip_by_global_norm(config.clip_norm),
    optax.adamw(
      schedule(config, steps),
      b1=config.b1,
      b2=config.b2,
      weight_decay=config.weight_decay,
      mask=_matrices,
    ),
  )
  if not frozen:
    return trained

  return optax.multi_transform(
    {True: trained, False: optax.set_to_zero()},
    lambda params: moving(params, frozen),
  )


def _matrices(params: PyTree) -> PyTree:
  """Which parameters decay, as a tree of bools."""
  chosen = [trees.is_matrix(*row) for row in trees.flatten(params).items()]
  return jax.tree.unflatten(jax.tree.structure(params), chosen)


def moving(params: PyTree, frozen: Sequence[str]) -> PyTree:
  """Which parameters train, as a tree of bools.

  Args:
    params: of a group.
    frozen: paths in it of what does not, "encoder" or
      "conditioner/frame_encoder/look": a leaf or all that is below.

  Raises:
    ValueError: there is nothing at a path.
  """
  paths = [f"{path}/" for path in trees.flatten(params)]
  stems = [f"{path}/" for path in frozen]
  unknown = [s[:-1] for s in stems if not any(p.startswith(s) for p in paths)]
  if unknown:
    raise ValueError(f"nothing to freeze is called {unknown}")
  moves = [not path.startswith(tuple(stems)) for path in paths]
  return jax.tree.unflatten(jax.tree.structure(params), moves)


def ema_decay(step: jax.Array, *, maximum: float, power: float) -> jax.Array:
  """EMA warm-up of stable-audio-tools: 1 - (1 + n)^-power, up to `maximum`."""
  return jnp.minimum(maximum, 1.0 - (1.0 + step) ** -power)
