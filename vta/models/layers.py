"""The denoiser's small parts: dense layers, rotary positions, time features.

Geometry and numerics are Stable Audio Open's (papers.md, 3.6). Submodules are
named after the parameters of diffusers' `StableAudioDiTModel`, with an
underscore beside each index where torch has a dot (`to_out_0` is `to_out.0`):
these paths are the export contract.
"""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

_FLOAT32 = jnp.dtype("float32")

# Cosines and sines of the rotary angles, one row per position.
Rotary = tuple[Float[Array, "t r"], Float[Array, "t r"]]


def dense(
  features: int,
  name: str,
  *,
  dtype: jnp.dtype = _FLOAT32,
  bias: bool = False,
  zero: bool = False,
) -> nn.Dense:
  """A linear layer; `zero` starts it at zero, so that its branch is silent."""
  initializers = nn.initializers
  kernel = initializers.zeros_init() if zero else initializers.lecun_normal()
  return nn.Dense(
    features, use_bias=bias, dtype=dtype, kernel_init=kernel, name=name
  )


def layer_norm(name: str, *, dtype: jnp.dtype) -> nn.LayerNorm:
  """Layer norm with torch's epsilon; its statistics are in float32."""
  return nn.LayerNorm(epsilon=1e-5, dtype=dtype, name=name)


def rotary_table(length: int, size: int, *, base: float = 10_000.0) -> Rotary:
  """Rotary angles of positions 0..length-1 for `size` rotated channels."""
  frequencies = base ** (-np.arange(0, size, 2) / size)
  angles = np.arange(length)[:, None] * frequencies[None]
  cos, sin = np.cos(angles), np.sin(angles)
  return jnp.asarray(cos, jnp.float32), jnp.asarray(sin, jnp.float32)


def rotate(
  x: Float[Array, "b t h d"], rotary: Rotary
) -> Float[Array, "b t h d"]:
  """Turns the first channels of each head by its position, in float32.

  Channel i pairs with channel i + r, where r is the number of angles (halves,
  not neighbours); channels from 2 r on carry no position.
  """
  cos, sin = (table[None, :, None] for table in rotary)
  r = cos.shape[-1]
  turned = x[..., : 2 * r].astype(jnp.float32)
  first, second = turned[..., :r], turned[..., r:]
  turned = jnp.concatenate(
    [first * cos - second * sin, second * cos + first * sin], axis=-1
  )
  return jnp.concatenate([turned.astype(x.dtype), x[..., 2 * r :]], axis=-1)


class FourierFeatures(nn.Module):
  """Diffusion time as cosines and sines of random, trained frequencies."""

  features: int

  @nn.compact
  def __call__(self, time: Float[Array, "b"]) -> Float[Array, "b f"]:
    weight = self.param(
      "weight", nn.initializers.normal(1.0), (self.features // 2,)
    )
    angles = 2 * jnp.pi * time.astype(jnp.float32)[:, None] * weight[None]
    return jnp.concatenate([jnp.cos(angles), jnp.sin(angles)], axis=-1)


class FeedForward(nn.Module):
  """Gated feed-forward, value * SiLU(gate), one projection for both."""

  hidden: int
  dtype: jnp.dtype

  @nn.compact
  def __call__(self, x: Float[Array, "b t c"]) -> Float[Array, "b t c"]:
    both = dense(2 * self.hidden, "net_0_proj", dtype=self.dtype, bias=True)(x)
    value, gate = jnp.split(both, 2, axis=-1)
    y = nn.with_logical_constraint(
      value * jax.nn.silu(gate), ("batch", "length", "hidden")
    )
    out = dense(x.shape[-1], "net_2", dtype=self.dtype, bias=True, zero=True)
    return out(y)
