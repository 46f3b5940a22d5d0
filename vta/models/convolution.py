"""Weight-normalised convolutions over time, as matrix products where it pays.

The three that the codec is made of (papers.md 3.8). Each holds a direction
`v` [kernel, in, out], a length `g` and a bias, and convolves with
g v / |v|. torch's `weight_norm` takes the norm over all but its first
dimension, which is the output channel of a convolution but the *input* channel
of a transposed one; `g` follows it, so that public weights carry over.

A convolution of kernel 2s and stride s sees each block of s samples twice: it
is one matrix product per pair of neighbouring blocks, and its transpose one
product per block and an overlap-add. Left to XLA, the transpose becomes a
dilated convolution, most of whose products are with zeros: 5 to 18 times slower
on a CPU, and wasted work on a TPU's matrix unit.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike
from jaxtyping import Array, Float

# torch's default for convolutions, U(+-1/sqrt(fan_in)).
_INIT = nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform")


def weight_norm(
  module: nn.Module,
  shape: tuple[int, ...],
  *,
  axes: tuple[int, ...],
  initial_scale: float = 1.0,
) -> Float[Array, "*taps i o"]:
  """Creates `v` and `g` in `module`; returns g v / |v| in float32.

  Args:
    module: whose parameters they become.
    shape: of `v`: taps, channels in, channels out.
    axes: that the norm is taken over, all but one; `g` has the one left.
    initial_scale: of the result, against torch's initialisation.
  """
  v = module.param("v", _INIT, shape)
  length = jnp.sqrt(jnp.sum(jnp.square(v), axis=axes))
  g = module.param("g", lambda _: initial_scale * length)
  return v * jnp.expand_dims(g / length, axes)


class Conv(nn.Module):
  """A dilated convolution that keeps the length; `kernel` is odd.

  Attributes:
    features: channels out.
    kernel: taps.
    dilation: distance of the taps.
    use_bias: whether a bias is added.
    initial_scale: factor on the initial weights.
    dtype: what the products are computed in.
  """

  features: int
  kernel: int
  dilation: int = 1
  use_bias: bool = True
  initial_scale: float = 1.0
  dtype: DTypeLike = jnp.float32

  @nn.compact
  def __call__(self, x: Float[Array, "b t i"]) -> Float[Array, "b t o"]:
    kernel = weight_norm(
      self,
      (self.kernel, x.shape[-1], self.features),
      axes=(0, 1),
      initial_scale=self.initial_scale,
    )
    pad = (self.kernel - 1) * self.dilation // 2
    y = jax.lax.conv_general_dilated(
      x.astype(self.dtype),
      kernel.astype(self.dtype),
      window_strides=(1,),
      padding=((pad, pad),),
      rhs_dilation=(self.dilation,),
      dimension_numbers=("NWC", "WIO", "NWC"),
    )
    if not self.use_bias:
      return y
    bias = self.param("bias", nn.initializers.zeros, (self.features,))
    return y + bias.astype(self.dtype)[None, None]


class Downsample(nn.Module):
  """Kernel 2 x stride, padded as torch's by ceil(stride / 2): t -> t / stride.

  Attributes:
    features: channels out.
    stride: samples a block; the input's length is a multiple of it.
    dtype: what the products are computed in.
  """

  features: int
  stride: int
  dtype: DTypeLike = jnp.float32

  @nn.compact
  def __call__(self, x: Float[Array, "b t i"]) -> Float[Array, "b l o"]:
    batch, length, channels = x.shape
    s = self.stride
    kernel = weight_norm(self, (2 * s, channels, self.features), axes=(0, 1))
    bias = self.param("bias", nn.initializers.zeros, (self.features,))
    pad = -(-s // 2)
    x = jnp.pad(x.astype(self.dtype), ((0, 0), (pad, s - pad), (0, 0)))
    blocks = x.reshape(batch, length // s + 1, s * channels)
    pairs = jnp.concatenate([blocks[:, :-1], blocks[:, 1:]], axis=-1)
    matrix = kernel.astype(self.dtype).reshape(-1, self.features)
    return pairs @ matrix + bias.astype(self.dtype)[None, None]


class Upsample(nn.Module):
  """The transpose of `Downsample`, with weights of its own: l -> l x stride.

  For an odd stride this is torch's ConvTranspose1d with output_padding=1.

  Attributes:
    features: channels out.
    stride: samples a block.
    dtype: what the products are computed in.
  """

  features: int
  stride: int
  dtype: DTypeLike = jnp.float32

  @nn.compact
  def __call__(self, x: Float[Array, "b l i"]) -> Float[Array, "b t o"]:
    batch, length, channels = x.shape
    s = self.stride
    kernel = weight_norm(self, (2 * s, channels, self.features), axes=(0, 2))
    bias = self.param("bias", nn.initializers.zeros, (self.features,))
    matrix = kernel.astype(self.dtype).transpose(1, 0, 2)
    pairs = x.astype(self.dtype) @ matrix.reshape(channels, -1)
    first, second = jnp.split(pairs, 2, axis=-1)
    blocks = jnp.pad(first, ((0, 0), (0, 1), (0, 0)))
    blocks += jnp.pad(second, ((0, 0), (1, 0), (0, 0)))
    pad = -(-s // 2)
    y = blocks.reshape(batch, (length + 1) * s, self.features)
    y = y[:, pad : pad + length * s]
    return y + bias.astype(self.dtype)[None, None]
