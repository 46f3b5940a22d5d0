"""The codec: a variational autoencoder between waves and latents.

Stable Audio's Oobleck or, with `groups`, vta's for small machines: that network
behind a lapped transform, whose levels also pass around it by two linear maps,
and noise that is always the same for what the network does not say.
"""

from __future__ import annotations

import collections
import dataclasses
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import weight_norm

from vta_torch import filler, spectra


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
  """The shape of a codec: config.json's "codec".

  Attributes:
    channels: of the wave.
    latents: channels of a latent frame.
    width: channels of the first stage.
    multiples: width of the stage after each stride, in units of `width`.
    strides: downsampling of each stage.
    dilations: of each stage's residual units.
    groups: of bands of the lapped transform that share a level, as (how many,
      bands in each); empty is no transform.
    edge: taps of the decoder's last convolution.
  """

  channels: int
  latents: int
  width: int
  multiples: Sequence[int]
  strides: Sequence[int]
  dilations: Sequence[int]
  groups: Sequence[tuple[int, int]]
  edge: int


class SnakeBeta(nn.Module):
  """x + sin^2(e^alpha x) / e^beta, of [b, c, t]."""

  def __init__(self, channels: int):
    super().__init__()
    self.alpha = nn.Parameter(torch.zeros(channels))
    self.beta = nn.Parameter(torch.zeros(channels))

  def forward(self, x: Tensor) -> Tensor:
    wave = torch.sin(x * self.alpha.exp()[:, None]).square()
    return x + wave / (self.beta.exp()[:, None] + 1e-9)


class Residual(nn.Sequential):
  """x + layers(x)."""

  def forward(self, x: Tensor) -> Tensor:
    return x + super().forward(x)


def _conv(
  into: int, out: int, taps: int, *, dilation=1, bias=True
) -> nn.Module:
  pad = (taps - 1) * dilation // 2
  return weight_norm(
    nn.Conv1d(into, out, taps, dilation=dilation, padding=pad, bias=bias)
  )


def _residuals(width: int, dilations: Sequence[int]) -> dict[str, nn.Module]:
  return {
    f"res_unit{i}": Residual(
      collections.OrderedDict(
        snake1=SnakeBeta(width),
        conv1=_conv(width, width, 7, dilation=dilation),
        snake2=SnakeBeta(width),
        conv2=_conv(width, width, 1),
      )
    )
    for i, dilation in enumerate(dilations, 1)
  }


def _named(**layers: nn.Module) -> nn.Sequential:
  return nn.Sequential(collections.OrderedDict(layers))


def _encoder(s: Settings, into: int, out: int) -> nn.Sequential:
  stages = [s.width * multiple for multiple in (1, *s.multiples)]
  blocks = [
    _named(
      **_residuals(before, s.dilations),
      snake1=SnakeBeta(before),
      conv1=weight_norm(
        nn.Conv1d(
          before, after, 2 * stride, stride=stride, padding=-(-stride // 2)
        )
      ),
    )
    for before, after, stride in zip(
      stages[:-1], stages[1:], s.strides, strict=True
    )
  ]
  return _named(
    conv1=_conv(into, s.width, 7),
    block=nn.Sequential(*blocks),
    snake1=SnakeBeta(stages[-1]),
    conv2=_conv(stages[-1], out, 3),
  )


def _decoder(s: Settings, out: int) -> nn.Sequential:
  stages = [s.width * multiple for multiple in (1, *s.multiples)][::-1]
  blocks = [
    _named(
      snake1=SnakeBeta(before),
      conv_t1=weight_norm(
        nn.ConvTranspose1d(
          before,
          after,
          2 * stride,
          stride=stride,
          padding=-(-stride // 2),
          output_padding=stride % 2,
        )
      ),
      **_residuals(after, s.dilations),
    )
    for before, after, stride in zip(
      stages[:-1], stages[1:], s.strides[::-1], strict=True
    )
  ]
  return _named(
    conv1=_conv(s.latents, stages[0], 7),
    block=nn.Sequential(*blocks),
    snake1=SnakeBeta(stages[-1]),
    conv2=_conv(stages[-1], out, s.edge, bias=False),
  )


def _over_time(network: nn.Module, x: Tensor) -> Tensor:
  """torch's convolutions want [b, c, t]; all else here is [b, t, c]."""
  return network(x.transpose(1, 2)).transpose(1, 2)


class Codec(nn.Module):
  """Wave [b, t, channels] <-> latents [b, t / hop, latents].

  Attributes:
    hop: samples a latent frame.
  """

  def __init__(self, settings: Settings):
    super().__init__()
    s = settings
    blocks = math.prod(s.strides)
    self.free = s.latents  # latents that the network fills
    into = out = s.channels
    self.spectra = None
    if s.groups:
      self.spectra = spectra.Spectra(s.groups, blocks=blocks)
      levels = 2 * self.spectra.groups
      self.free = s.latents - 2  # the first two are the loudness
      into = out = levels + 2 * self.spectra.bands
      self.levels_in = nn.Linear(levels * blocks + 2, self.free)
      self.levels_out = nn.Linear(s.latents, levels * blocks)
    self.hop = blocks * (self.spectra.bands if self.spectra else 1)
    self.encoder = _encoder(s, into, self.free + s.latents)
    self.decoder = _decoder(s, out)

  def encode(self, wave: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and deviation of the latents, [b, t / hop, latents] each.

    Raises:
      ValueError: t is not a multiple of the hop; pad with silence.
    """
    if wave.shape[1] % self.hop:
      raise ValueError(
        f"{wave.shape[1]} samples are no multiple of the hop, {self.hop}"
      )
    x = wave
    if self.spectra:
      loudness, level, shape = self.spectra.describe(wave)
      x = torch.cat([level, shape], dim=-1)
    mean, scale = _over_time(self.encoder, x).tensor_split([self.free], dim=-1)
    if self.spectra:
      rows = level.reshape(*loudness.shape[:2], -1)
      rows = torch.cat([rows, loudness], dim=-1)
      mean = torch.cat([loudness, mean + self.levels_in(rows)], dim=-1)
    return mean, functional.softplus(scale) + 1e-4

  def decode(self, latents: Tensor) -> Tensor:
    """Latents to the wave [b, l x hop, channels], not limited to +-1.

    The noise that fills in spectra is no argument: it is the same for every
    sound, `vta_torch.filler`.
    """
    decoded = _over_time(self.decoder, latents)
    if not self.spectra:
      return decoded
    levels = 2 * self.spectra.groups
    level, shape = decoded.tensor_split([levels], dim=-1)
    level = level + self.levels_out(latents).reshape(level.shape)
    bands = self.spectra.bands
    noise = filler.normal(shape.shape[1], bands).to(shape)
    shape = shape + functional.pad(noise, (0, bands))
    return self.spectra.wave(latents[..., :2], level, shape)
