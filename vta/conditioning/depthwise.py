"""A convolution over time of every channel by itself, as a sum of shifts.

XLA's grouped convolution takes ten times as long on a CPU, forwards and back;
left to itself, so do the derivatives of the shifts.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float


class Depthwise(nn.Module):
  """`nn.Conv` with as many groups as channels, zeros beyond both ends.

  Attributes:
    taps: odd.
  """

  taps: int

  @nn.compact
  def __call__(self, x: Float[Array, "b t d"]) -> Float[Array, "b t d"]:
    shape = (self.taps, 1, x.shape[-1])
    kernel = self.param("kernel", nn.initializers.lecun_normal(), shape)
    bias = self.param("bias", nn.initializers.zeros, shape[-1:])
    return depthwise(kernel[:, 0], x) + bias


@jax.custom_vjp
def depthwise(
  kernel: Float[Array, "k d"], x: Float[Array, "b t d"]
) -> Float[Array, "b t d"]:
  """Every channel of x, correlated with its own taps; zeros beyond the ends."""
  return sum(tap * y for tap, y in zip(kernel, _shifts(kernel, x), strict=True))


def _shifts(kernel, x):
  taps, half = len(kernel), len(kernel) // 2
  y = jnp.pad(x, ((0, 0), (half, half), (0, 0)))
  return [y[:, i : i + x.shape[1]] for i in range(taps)]


def _forward(kernel, x):
  return depthwise(kernel, x), (kernel, x)


def _backward(saved, slope):
  kernel, x = saved
  shifts = _shifts(kernel, x)
  of_kernel = [jnp.einsum("btd,btd->d", y, slope) for y in shifts]
  return jnp.stack(of_kernel), depthwise(kernel[::-1], slope)


depthwise.defvjp(_forward, _backward)
