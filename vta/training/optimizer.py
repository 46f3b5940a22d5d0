"""AdamW, and the learning-rate schedule that all tasks share."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import ml_collections
import optax


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
    frozen: names at the top of the parameters' tree of what does not move.

  Raises:
    ValueError: at `init`, when the tree has no such name.
  """
  trained = optax.chain(
    optax.clip_by_global_norm(config.clip_norm),
    optax.adamw(
      schedule(config, steps),
      b1=config.b1,
      b2=config.b2,
      weight_decay=config.weight_decay,
      mask=lambda params: jax.tree.map(lambda p: p.ndim > 1, params),
    ),
  )
  if not frozen:
    return trained

  def moves(params):
    unknown = set(frozen) - set(params)
    if unknown:
      raise ValueError(f"nothing to freeze is called {sorted(unknown)}")
    return {
      name: jax.tree.map(lambda _, moves=name not in frozen: moves, tree)
      for name, tree in params.items()
    }

  return optax.multi_transform(
    {True: trained, False: optax.set_to_zero()}, moves
  )


def ema_decay(step: jax.Array, *, maximum: float, power: float) -> jax.Array:
  """EMA warm-up of stable-audio-tools: 1 - (1 + n)^-power, up to `maximum`."""
  return jnp.minimum(maximum, 1.0 - (1.0 + step) ** -power)
