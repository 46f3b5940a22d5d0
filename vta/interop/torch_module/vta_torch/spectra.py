"""A wave as loudness, levels and shape, and back.

An orthonormal lapped transform (the MDCT with a sine window, as rotations
around block boundaries and a DCT-IV) makes a spectrum of every block of
samples. A *level* is the log RMS of a group of neighbouring bands, a *shape*
the bands over that RMS, *loudness* the log of the K-weighted RMS of a latent
frame; each as the mean of left and right, then half their difference.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

_RATE = 44_100
_QUIET = 1e-5  # an RMS below which all is silence
# What makes levels order one, in nepers.
_CENTRE, _SPREAD, _SIDE_SPREAD = -6.0, 3.0, 0.5
_LOUDEST = 5.0  # nepers
_FLAT = 1e-4  # added to a shape's power: one of zeros has no direction
# Loudness: a K-weighted RMS below which all is silence, and its order of one.
_SILENT = 1e-4
_NO_POWER = 1e-14
_LOUD_CENTRE, _LOUD_SPREAD, _LOUD_SIDE_SPREAD = -6.0, 1.15, 0.4


def _k_weighting(frequencies: np.ndarray) -> np.ndarray:
  """Gain of ITU-R BS.1770's two filters at frequencies in Hz.

  +4 dB above 1500 Hz (Q 1/sqrt(2)) and a high-pass at 38 Hz (Q 1/2), biquads
  of the Audio EQ Cookbook, as pyloudnorm has them.
  """
  a = 10 ** (4.0 / 40)
  omega = 2 * math.pi * 1500.0 / _RATE
  cos, slope = math.cos(omega), math.sqrt(2 * a) * math.sin(omega)
  shelf = (
    [
      a * ((a + 1) + (a - 1) * cos + slope),
      -2 * a * ((a - 1) + (a + 1) * cos),
      a * ((a + 1) + (a - 1) * cos - slope),
    ],
    [
      (a + 1) - (a - 1) * cos + slope,
      2 * ((a - 1) - (a + 1) * cos),
      (a + 1) - (a - 1) * cos - slope,
    ],
  )
  omega = 2 * math.pi * 38.0 / _RATE
  cos, sin = math.cos(omega), math.sin(omega)
  high_pass = (
    [(1 + cos) / 2, -(1 + cos), (1 + cos) / 2],
    [1 + sin, -2 * cos, 1 - sin],
  )
  delay = np.exp(-2j * np.pi * frequencies / _RATE)
  gain = np.ones_like(frequencies)
  for numerator, denominator in (shelf, high_pass):
    above, below = (
      c[0] + c[1] * delay + c[2] * delay**2 for c in (numerator, denominator)
    )
    gain = gain * np.abs(above / below)
  return gain


def _middle_and_side(x: Tensor) -> tuple[Tensor, Tensor]:
  """[b, f, 2, n] to two of [b, f, n]."""
  left, right = x.unbind(dim=2)
  return 0.5 * (left + right), 0.5 * (left - right)


def _left_and_right(middle: Tensor, side: Tensor) -> Tensor:
  return torch.stack([middle + side, middle - side], dim=2)


class Spectra(nn.Module):
  """Both directions; spectra are [b, f, 2, bands], low to high.

  Attributes:
    bands: samples a block.
    groups: how many groups of bands there are.
  """

  def __init__(self, groups: Sequence[tuple[int, int]], *, blocks: int):
    """`groups` are (how many, bands in each); `blocks` make a latent frame."""
    super().__init__()
    sizes = np.repeat([size for _, size in groups], [n for n, _ in groups])
    self.groups, self.bands, self.blocks = len(sizes), int(sizes.sum()), blocks
    band = np.arange(self.bands) + 0.5
    half = self.bands // 2
    window = np.sin(math.pi * band / (2 * self.bands))
    dct = math.pi / self.bands * np.outer(band, band)
    weight = _k_weighting(band * _RATE / (2 * self.bands)) ** 2
    group = np.repeat(np.arange(self.groups), sizes)
    member = group[:, None] == np.arange(self.groups)
    for name, constant in {
      "dct": math.sqrt(2 / self.bands) * np.cos(dct),
      "cosine": window[half:, None],
      "sine": window[half - 1 :: -1, None].copy(),
      "average": member / sizes,
      "weight": weight / (self.bands * blocks),
    }.items():
      tensor = torch.from_numpy(constant.astype(np.float32))
      self.register_buffer(name, tensor, persistent=False)
    self.register_buffer("group", torch.from_numpy(group), persistent=False)

  def describe(self, wave: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Loudness, levels and shape of a wave [b, t, 2].

    Returns:
      loudness [b, l, 2]; levels [b, f, 2 groups]; shape [b, f, 2 bands].
    """
    blocks = self._rotate(wave.unflatten(1, (-1, self.bands)), sign=1)
    spectra = torch.einsum("bfnc,nk->bfck", blocks, self.dct)
    power = spectra.square() @ self.average + _QUIET**2
    middle, side = _middle_and_side(0.5 * power.log())
    level = [(middle - _CENTRE) / _SPREAD, side / _SIDE_SPREAD]
    shape = spectra * power.rsqrt()[..., self.group]
    log = 0.5 * (self._k_power(spectra) + _SILENT**2).log()
    middle, side = _middle_and_side(log[..., None])
    loudness = [
      (middle - _LOUD_CENTRE) / _LOUD_SPREAD,
      side / _LOUD_SIDE_SPREAD,
    ]
    return (
      torch.cat(loudness, dim=-1),
      torch.cat(level, dim=-1),
      torch.cat(_middle_and_side(shape), dim=-1),
    )

  def wave(self, loudness: Tensor, level: Tensor, shape: Tensor) -> Tensor:
    """The inverse of `describe`, for shapes of any RMS and any levels."""
    middle, side = level.chunk(2, dim=-1)
    log = _left_and_right(_SPREAD * middle + _CENTRE, _SIDE_SPREAD * side)
    spectra = _left_and_right(*shape.chunk(2, dim=-1))
    gain = log.clamp(max=_LOUDEST).exp()
    gain = gain * (spectra.square() @ self.average + _FLAT).rsqrt()
    spectra = spectra * gain[..., self.group]
    middle, side = loudness.chunk(2, dim=-1)
    middle = _LOUD_SPREAD * middle + _LOUD_CENTRE
    log = _left_and_right(middle, _LOUD_SIDE_SPREAD * side)[..., 0]
    power = (2.0 * log.clamp(max=_LOUDEST)).exp() - _SILENT**2
    power = power.clamp(min=_NO_POWER)
    gain = (power / (self._k_power(spectra) + _NO_POWER)).sqrt()
    gain = gain.repeat_interleave(self.blocks, dim=1)[..., None]
    blocks = torch.einsum("bfck,nk->bfnc", spectra * gain, self.dct)
    return self._rotate(blocks, sign=-1).flatten(1, 2)

  def _k_power(self, spectra: Tensor) -> Tensor:
    """Mean K-weighted power of every latent frame, [b, l, 2]."""
    cells = spectra.unflatten(1, (-1, self.blocks))
    return (cells.square() @ self.weight).sum(dim=2)

  def _rotate(self, blocks: Tensor, *, sign: int) -> Tensor:
    """Rotates the pairs of [b, f, n, c] mirrored about each inner boundary."""
    half = self.bands // 2
    cosine, sine = self.cosine, sign * self.sine
    before = blocks[:, :-1, half:].flip(2)
    after = blocks[:, 1:, :half]
    new_before = (cosine * before - sine * after).flip(2)
    new_after = cosine * after + sine * before
    left = torch.cat([blocks[:, :1, :half], new_after], dim=1)
    right = torch.cat([new_before, blocks[:, -1:, half:]], dim=1)
    return torch.cat([left, right], dim=2)
