"""The codec: a variational autoencoder between waves and latents.

With its defaults this is Stable Audio's Oobleck, 156.1M parameters (papers.md
3.8), and its parameter paths are those of diffusers' AutoencoderOobleck with
`block.0` written `block_0`: only `weight_g`, `weight_v` are `g`, `v` here.

`groups` are ours, for small machines: the network then sees the wave through an
orthonormal lapped transform (`vta.models.mdct`), as loudness, levels and shape
(`vta.models.levels`). The first two latents are the loudness, exactly: a
denoiser that is given a loudness curve needs to copy it, not to infer which
spectrum would have it. Levels also pass around the network by two linear maps,
which `start_levels` sets to their principal components given the loudness, so
that the codec has every envelope from the first step; noise of a fixed seed
stands for whatever the network does not say about the shape.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from flax import struct
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Key

from vta.models import levels, mdct
from vta.models.convolution import Conv, Downsample, Upsample
from vta.models.snake import SnakeBeta

_NARROW = -3.0  # a posterior of deviation 0.05, before softplus


@dataclasses.dataclass(frozen=True, kw_only=True)
class AutoencoderConfig:
  """The shape of a codec.

  Attributes:
    channels: of the wave.
    latents: channels of a latent frame.
    width: channels of the first stage.
    multiples: width of the stage after each stride, in units of `width`.
    strides: downsampling of each stage.
    dilations: of each stage's residual units.
    groups: of bands of the lapped transform that share a level, as (how many,
      bands in each), low to high; their sum is the samples of a block. Empty is
      no transform.
    edge: taps of the decoder's last convolution.
    residual_scale: factor on the initial weights of every residual unit's last
      convolution and of the decoder's last. 1 is torch's initialisation; a
      stack trained from scratch in few steps wants 0.1 or less.
    dtype: of matrix products and what is between them; parameters, waves,
      posteriors and the decoder's last convolution are float32 always.
  """

  channels: int = 2
  latents: int = 64
  width: int = 128
  multiples: tuple[int, ...] = (1, 2, 4, 8, 16)
  strides: tuple[int, ...] = (2, 4, 4, 8, 8)
  dilations: tuple[int, ...] = (1, 3, 9)
  groups: tuple[tuple[int, int], ...] = ()
  edge: int = 7
  residual_scale: float = 1.0
  dtype: Literal["float32", "bfloat16"] = "float32"

  def __post_init__(self):
    if len(self.multiples) != len(self.strides):
      raise ValueError(
        f"one multiple per stride: {self.multiples} against {self.strides}"
      )
    if self.bands > 1 and self.bands % 2:
      raise ValueError(f"bands is even, got {self.bands} in {self.groups}")
    if self.groups and self.channels != 2:
      raise ValueError(f"levels are of 2 channels, not {self.channels}")
    if self.groups and self.latents < 3:
      raise ValueError(f"2 latents are loudness, there are {self.latents}")

  @property
  def bands(self) -> int:
    """Samples a block of the lapped transform; 1 without one."""
    return levels.bands(self.groups) if self.groups else 1

  @property
  def hop(self) -> int:
    """Samples a latent frame."""
    return self.bands * self.blocks

  @property
  def blocks(self) -> int:
    """Steps of the network, or blocks of the transform, a latent frame."""
    return math.prod(self.strides)

  @property
  def free(self) -> int:
    """Latents that the network fills: all but the loudness."""
    return self.latents - (2 if self.groups else 0)

  @property
  def outputs(self) -> int:
    """Channels that the decoder's network ends in: levels and shape."""
    return self.channels * (self.bands + levels.count(self.groups))

  @property
  def stages(self) -> tuple[int, ...]:
    """Channels of every stage, one more than there are strides."""
    return tuple(self.width * multiple for multiple in (1, *self.multiples))


@struct.dataclass
class Posterior:
  """A diagonal Gaussian over latents.

  Attributes:
    mean: its mean.
    scale: the encoder's unbounded output for the standard deviation.
  """

  mean: Float[Array, "b l d"]
  scale: Float[Array, "b l d"]

  @property
  def std(self) -> Float[Array, "b l d"]:
    return jax.nn.softplus(self.scale) + 1e-4

  def sample(self, key: Key[Array, ""]) -> Float[Array, "b l d"]:
    noise = jax.random.normal(key, self.mean.shape, self.mean.dtype)
    return self.mean + self.std * noise

  def kl(self) -> Float[Array, ""]:
    """Twice the divergence from N(0, 1), summed over d, averaged over b, l.

    Without the half, as in stable-audio-tools: its weight of 1e-4 is for this.
    """
    variance = jnp.square(self.std)
    terms = jnp.square(self.mean) + variance - jnp.log(variance) - 1
    return jnp.mean(jnp.sum(terms, axis=-1))


def pad_to_hop(wave: Float[Array, "b t c"], hop: int) -> Float[Array, "b n c"]:
  """Appends silence up to the next multiple of `hop` samples."""
  return jnp.pad(wave, ((0, 0), (0, -wave.shape[1] % hop), (0, 0)))


class ResidualUnit(nn.Module):
  """x + conv1x1(snake(conv7(snake(x)))), the wide one dilated."""

  dilation: int
  scale: float
  dtype: DTypeLike = jnp.float32

  @nn.compact
  def __call__(self, x: Float[Array, "b t c"]) -> Float[Array, "b t c"]:
    width = x.shape[-1]
    wide = Conv(width, 7, self.dilation, dtype=self.dtype, name="conv1")
    narrow = Conv(
      width, 1, initial_scale=self.scale, dtype=self.dtype, name="conv2"
    )
    y = wide(SnakeBeta(name="snake1")(x))
    return x + narrow(SnakeBeta(name="snake2")(y))


class EncoderBlock(nn.Module):
  """Residual units, then `stride` times fewer steps of `width` channels."""

  width: int
  stride: int
  config: AutoencoderConfig

  @nn.compact
  def __call__(self, x: Float[Array, "b t c"]) -> Float[Array, "b l d"]:
    scale, dtype = self.config.residual_scale, self.config.dtype
    for i, dilation in enumerate(self.config.dilations):
      name = f"res_unit{i + 1}"
      x = ResidualUnit(dilation, scale, dtype, name=name)(x)
    x = SnakeBeta(name="snake1")(x)
    return Downsample(self.width, self.stride, dtype, name="conv1")(x)


class DecoderBlock(nn.Module):
  """`stride` times more steps of `width` channels, then residual units."""

  width: int
  stride: int
  config: AutoencoderConfig

  @nn.compact
  def __call__(self, x: Float[Array, "b l d"]) -> Float[Array, "b t c"]:
    scale, dtype = self.config.residual_scale, self.config.dtype
    x = SnakeBeta(name="snake1")(x)
    x = Upsample(self.width, self.stride, dtype, name="conv_t1")(x)
    for i, dilation in enumerate(self.config.dilations):
      name = f"res_unit{i + 1}"
      x = ResidualUnit(dilation, scale, dtype, name=name)(x)
    return x


class Encoder(nn.Module):
  """Wave, or its spectra, to the posterior's mean and scale side by side."""

  config: AutoencoderConfig

  @nn.compact
  def __call__(self, x: Float[Array, "b t c"]) -> Float[Array, "b l d"]:
    config = self.config
    x = Conv(config.width, 7, dtype=config.dtype, name="conv1")(x)
    for i, stride in enumerate(config.strides):
      width = config.stages[i + 1]
      x = EncoderBlock(width, stride, config, name=f"block_{i}")(x)
    x = SnakeBeta(name="snake1")(x)
    return Conv(
      config.free + config.latents,
      3,
      # Beside the levels' linear map the network starts small.
      initial_scale=config.residual_scale if config.groups else 1.0,
      dtype=config.dtype,
      name="conv2",
    )(x)


class Decoder(nn.Module):
  """Latents to the wave, or its spectra."""

  config: AutoencoderConfig

  @nn.compact
  def __call__(self, x: Float[Array, "b l d"]) -> Float[Array, "b t c"]:
    config = self.config
    x = Conv(config.stages[-1], 7, dtype=config.dtype, name="conv1")(x)
    for i, stride in enumerate(reversed(config.strides)):
      width = config.stages[-2 - i]
      x = DecoderBlock(width, stride, config, name=f"block_{i}")(x)
    x = SnakeBeta(name="snake1")(x)
    return Conv(
      config.outputs,
      config.edge,
      use_bias=False,
      initial_scale=config.residual_scale,
      name="conv2",
    )(x)


class Autoencoder(nn.Module):
  """The codec."""

  config: AutoencoderConfig

  def setup(self):
    config = self.config
    self.encoder = Encoder(config)
    self.decoder = Decoder(config)
    if config.groups:
      self.levels_in = nn.Dense(config.free)
      self.levels_out = nn.Dense(
        2 * levels.count(config.groups) * config.blocks
      )

  def encode(self, wave: Float[Array, "b t c"]) -> Posterior:
    """Wave to posterior, [b, t / hop, latents].

    Raises:
      ValueError: t is not a multiple of the hop; see `pad_to_hop`.
    """
    config = self.config
    if wave.shape[1] % config.hop:
      raise ValueError(
        f"{wave.shape[1]} samples are no multiple of the hop, {config.hop}"
      )
    if not config.groups:
      mean, scale = self._encoded(wave)
      return Posterior(mean=mean, scale=scale)
    spectra = mdct.mdct(wave, bands=config.bands)
    loudness, level, shape = _described(spectra, config)
    mean, scale = self._encoded(jnp.concatenate([level, shape], axis=-1))
    rows = _rows(loudness, level)
    mean = jnp.concatenate([loudness, mean + self.levels_in(rows)], axis=-1)
    return Posterior(mean=mean, scale=scale)

  def _encoded(self, x: Float[Array, "b t c"]):
    hidden = self.encoder(x).astype(jnp.float32)
    return jnp.split(hidden, [self.config.free], axis=-1)

  def decode(self, latents: Float[Array, "b l d"]) -> Float[Array, "b t c"]:
    """Latents to wave, [b, l x hop, channels]; not limited to +-1."""
    config = self.config
    decoded = self.decoder(latents)
    if not config.groups:
      return decoded
    count = 2 * levels.count(config.groups)
    level, shape = decoded[..., :count], decoded[..., count:]
    level += self.levels_out(latents).reshape(level.shape)
    noise = jax.random.normal(
      jax.random.key(0), (shape.shape[1], config.bands), jnp.float32
    )
    # Where left and right differ is the network's to say.
    shape = shape.at[..., : config.bands].add(noise[None])
    spectra = levels.join(level, shape, config.groups)
    spectra = levels.at_loudness(
      spectra, latents[..., :2], blocks=config.blocks
    )
    return mdct.inverse_mdct(spectra, bands=config.bands)

  def __call__(
    self, wave: Float[Array, "b t c"], key: Key[Array, ""]
  ) -> tuple[Float[Array, "b t c"], Posterior]:
    """Encodes, samples with `key` and decodes: reconstruction, posterior."""
    posterior = self.encode(wave)
    return self.decode(posterior.sample(key)), posterior


def _described(spectra: Float[Array, "b f d"], config: AutoencoderConfig):
  """Loudness of every latent; levels and shape of every block."""
  loudness = levels.loudness(spectra, blocks=config.blocks)
  return loudness, *levels.split(spectra, config.groups)


def _rows(loudness: Float[Array, "b l 2"], level: Float[Array, "b f g"]):
  """All levels of a latent, then its loudness."""
  level = level.reshape(*loudness.shape[:2], -1)
  return jnp.concatenate([level, loudness], axis=-1)


def start_levels(
  params: Mapping, wave: Float[Array, "b t c"], config: AutoencoderConfig
) -> dict:
  """Sets the linear maps of the levels by least squares on `wave`.

  Levels are what the loudness says of them and, for the rest, principal
  components. A component's deviation becomes its square root: as they are, the
  first would drown all others; whitened, the last would cost as much as the
  first.

  Args:
    params: a codec's, with `groups`.
    wave: representative sound, many times more latents than levels in one.
    config: the codec's shape.
  """
  spectra = mdct.mdct(wave, bands=config.bands)
  loudness, level, _ = _described(spectra, config)
  rows = np.asarray(_rows(loudness, level)).reshape(
    -1, 2 + level.shape[-1] * config.blocks
  )
  level, loudness = rows[:, :-2], rows[:, -2:]
  known = np.concatenate([loudness, np.ones_like(loudness[:, :1])], axis=1)
  said, *_ = np.linalg.lstsq(known, level)
  _, directions, deviation = levels.principal(level - known @ said, config.free)
  gain = 1.0 / np.sqrt(deviation * deviation.mean())
  into = directions * gain[None]
  linear = {
    "levels_in": {
      "kernel": np.concatenate([into, -said[:2] @ into]),
      "bias": -said[2] @ into,
    },
    "levels_out": {
      "kernel": np.concatenate([said[:2], (directions / gain[None]).T]),
      "bias": said[2],
    },
  }
  # A posterior as wide as torch's initialisation has it would hide all but
  # the first components.
  last = params["encoder"]["conv2"]
  scale = np.repeat([0.0, _NARROW], [config.free, config.latents])
  last = {**last, "bias": np.asarray(last["bias"]) + scale}
  start = {
    **params,
    **linear,
    "encoder": {**params["encoder"], "conv2": last},
  }
  return jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), start)
