"""Timing: where a crop starts and how long its clip is, as a vector.

Stable Audio's number embedder (papers.md 3.1 and 3.6): the number is clamped
to [0, 512] and divided by 512; learned frequencies give sines and cosines,
appended to the number itself.
"""

from __future__ import annotations

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

LONGEST = 512.0


class NumberEmbedder(nn.Module):
  """Seconds to a vector of `width`."""

  width: int
  frequencies: int = 128

  @nn.compact
  def __call__(self, seconds: Float[Array, "b"]) -> Float[Array, "b d"]:
    weights = self.param(
      "weights", nn.initializers.normal(1.0), (self.frequencies,)
    )
    x = jnp.clip(seconds, 0.0, LONGEST)[:, None] / LONGEST
    phase = 2.0 * jnp.pi * x * weights[None]
    x = jnp.concatenate([x, jnp.sin(phase), jnp.cos(phase)], axis=-1)
    return nn.Dense(self.width, name="project")(x)


class Timing(nn.Module):
  """(start, total) in seconds to one vector, each half its width."""

  width: int

  @nn.compact
  def __call__(self, timing: Float[Array, "b 2"]) -> Float[Array, "b d"]:
    start = NumberEmbedder(self.width // 2, name="start")(timing[:, 0])
    total = NumberEmbedder(self.width // 2, name="total")(timing[:, 1])
    return jnp.concatenate([start, total], axis=-1)
