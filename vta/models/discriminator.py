"""EnCodec's multi-scale STFT discriminator and the codec's adversarial losses.

Defossez et al. 2022 (arXiv 2210.13438), with the settings of Stable Audio's
codec (papers.md 3.8). Each scale judges every patch of a complex spectrogram;
losses are averaged over scales, as in stable-audio-tools.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from flax import struct
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from vta.models import spectral
from vta.models.convolution import weight_norm

_KERNEL = (3, 9)  # frames, frequencies
_DILATIONS = (1, 2, 4)  # in time, of the strided layers


@dataclasses.dataclass(frozen=True, kw_only=True)
class DiscriminatorConfig:
  """The shape of a discriminator.

  Attributes:
    filters: channels of every layer.
    ffts: windows of the scales, in samples; the hop is a quarter.
    dtype: of the convolutions; what they are given and give is float32.
  """

  filters: int = 64
  ffts: tuple[int, ...] = (2048, 1024, 512, 256, 128)
  dtype: Literal["float32", "bfloat16"] = "float32"


@struct.dataclass
class Judgement:
  """What one scale says of a batch.

  Attributes:
    score: positive where a patch passes for real.
    features: the hidden layers' activations, for feature matching.
  """

  score: Float[Array, "b f k 1"]
  features: tuple[Float[Array, "b f _ c"], ...]


class Conv2D(nn.Module):
  """A convolution over [frames, frequencies] that keeps the frames.

  Attributes:
    features: channels out.
    kernel: taps, odd.
    stride: in frequency.
    dilation: in time.
    normalised: whether weights are weight-normalised.
    dtype: what the products are computed in.
  """

  features: int
  kernel: tuple[int, int]
  stride: int = 1
  dilation: int = 1
  normalised: bool = True
  dtype: DTypeLike = jnp.float32

  @nn.compact
  def __call__(self, x: Float[Array, "b f k i"]) -> Float[Array, "b f _ o"]:
    shape = (*self.kernel, x.shape[-1], self.features)
    if self.normalised:
      kernel = weight_norm(self, shape, axes=(0, 1, 2))
    else:
      kernel = self.param("kernel", nn.initializers.lecun_normal(), shape)
    bias = self.param("bias", nn.initializers.zeros, (self.features,))
    pad_time = (self.kernel[0] - 1) * self.dilation // 2
    pad_frequency = self.kernel[1] // 2
    y = jax.lax.conv_general_dilated(
      x.astype(self.dtype),
      kernel.astype(self.dtype),
      window_strides=(1, self.stride),
      padding=((pad_time, pad_time), (pad_frequency, pad_frequency)),
      rhs_dilation=(self.dilation, 1),
      dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
    return y + bias.astype(self.dtype)[None, None, None]


class Scale(nn.Module):
  """The discriminator of one window length."""

  filters: int
  n_fft: int
  dtype: DTypeLike = jnp.float32

  @nn.compact
  def __call__(self, wave: Float[Array, "b t c"]) -> Judgement:
    batch, _, channels = wave.shape
    flat = wave.transpose(0, 2, 1).reshape(batch * channels, -1)
    x = spectral.stft(flat, self.n_fft, hop=self.n_fft // 4, centre=False)
    # torchaudio's normalized=True: unit noise gives unit spectra. The sum of
    # a periodic Hann window's squares is 3/8 of its length.
    x = x * np.float32((0.375 * self.n_fft) ** -0.5)
    x = x.reshape(batch, channels, *x.shape[1:]).transpose(0, 2, 3, 1)
    x = jnp.concatenate([x.real, x.imag], axis=-1)

    square = (_KERNEL[0], _KERNEL[0])
    strided = [
      Conv2D(
        self.filters,
        _KERNEL,
        stride=2,
        dilation=dilation,
        dtype=self.dtype,
        name=f"conv_{i + 1}",
      )
      for i, dilation in enumerate(_DILATIONS)
    ]
    # As published, only the first layer goes without weight norm.
    layers = (
      Conv2D(
        self.filters,
        _KERNEL,
        normalised=False,
        dtype=self.dtype,
        name="conv_0",
      ),
      *strided,
      Conv2D(
        self.filters, square, dtype=self.dtype, name=f"conv_{len(strided) + 1}"
      ),
    )
    features = []
    for layer in layers:
      x = nn.leaky_relu(layer(x), negative_slope=0.2)
      features.append(x.astype(jnp.float32))
    score = Conv2D(1, square, dtype=self.dtype, name="conv_post")(x)
    return Judgement(score=score.astype(jnp.float32), features=tuple(features))


class Discriminator(nn.Module):
  """One `Scale` per window length."""

  config: DiscriminatorConfig

  @nn.compact
  def __call__(self, wave: Float[Array, "b t c"]) -> tuple[Judgement, ...]:
    config = self.config
    return tuple(
      Scale(config.filters, n_fft, config.dtype, name=f"scale_{n_fft}")(wave)
      for n_fft in config.ffts
    )


def discriminator_loss(
  real: tuple[Judgement, ...], fake: tuple[Judgement, ...]
) -> Float[Array, ""]:
  """Hinge: mean relu(1 - D(real)) + mean relu(1 + D(fake))."""
  losses = [
    jnp.mean(nn.relu(1 - r.score)) + jnp.mean(nn.relu(1 + f.score))
    for r, f in zip(real, fake, strict=True)
  ]
  return sum(losses) / len(losses)


def generator_loss(fake: tuple[Judgement, ...]) -> Float[Array, ""]:
  """The codec's side of the hinge: -mean D(fake)."""
  return -sum(jnp.mean(f.score) for f in fake) / len(fake)


def feature_matching(
  real: tuple[Judgement, ...], fake: tuple[Judgement, ...]
) -> Float[Array, ""]:
  """Mean over scales and layers of the mean absolute difference."""
  distances = [
    jnp.mean(jnp.abs(a - b))
    for r, f in zip(real, fake, strict=True)
    for a, b in zip(r.features, f.features, strict=True)
  ]
  return sum(distances) / len(distances)
