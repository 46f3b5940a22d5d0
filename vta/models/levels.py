"""Loudness, level and shape: spectra as a codec for small machines takes them.

Gain and shape are coded apart, as in CELT (Valin et al. 2013, arXiv
1602.04845): 80 dB of level become a number of order one, and a tail 60 dB below
its strike is as easy as the strike. Left and right are given as what they
share and by how much they differ, so that a source's side is one number. A
*level* is that of a group of neighbouring bands; *loudness* is that of all, by
the K-weighting of the LUFS that users draw, over a whole latent.
"""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from vta.models import mdct
from vta.signals import loudness as loudness_lib
from vta.signals import timing

# (how many groups, bands in each), low to high.
Groups = Sequence[tuple[int, int]]

_QUIET = 1e-5  # an RMS below which all is silence
# What makes levels order one, in nepers (8.7 dB).
_CENTRE, _SPREAD, _SIDE_SPREAD = -6.0, 3.0, 0.5
_LOUDEST = 5.0  # nepers: above any wave within +-1
_POOLED = 8  # blocks: 93 ms where a block is 512 samples
_FLAT = 1e-4  # added to a shape's power: one of zeros has no direction
# Loudness: a K-weighted RMS below which all is silence, -80 dB; what brings it
# to twice the deviation of other latents, and its side by the same root as
# `principal` components are scaled by.
_SILENT = 1e-4
_NO_POWER = 1e-14  # -140 dB
_LOUD_CENTRE, _LOUD_SPREAD, _LOUD_SIDE_SPREAD = -6.0, 1.15, 0.4


def count(groups: Groups) -> int:
  """How many groups there are."""
  return sum(number for number, _ in groups)


def bands(groups: Groups) -> int:
  """How many bands they hold together."""
  return sum(number * size for number, size in groups)


def _group_of_band(groups: Groups) -> np.ndarray:
  sizes = np.concatenate([np.full(number, size) for number, size in groups])
  return np.repeat(np.arange(len(sizes)), sizes)


def _power(
  spectra: Float[Array, "b f c n"], groups: Groups
) -> Float[Array, "b f c g"]:
  """Mean power of every group."""
  member = _group_of_band(groups)[:, None] == np.arange(count(groups))[None]
  average = (member / member.sum(axis=0, keepdims=True)).astype(np.float32)
  return jnp.square(spectra) @ average


def split(
  spectra: Float[Array, "b f d"], groups: Groups
) -> tuple[Float[Array, "b f g"], Float[Array, "b f d"]]:
  """Spectra of left and right, one after the other, to levels and shape.

  Returns:
    levels: log of the RMS, of order one: the mean of left and right for every
      group, then half their difference.
    shape: the coefficients over that RMS, likewise: mean, half difference.
  """
  stereo = spectra.reshape(*spectra.shape[:2], 2, -1)
  power = _power(stereo, groups) + _QUIET**2
  middle, side = _middle_and_side(0.5 * jnp.log(power))
  levels = [(middle - _CENTRE) / _SPREAD, side / _SIDE_SPREAD]
  shape = stereo * jax.lax.rsqrt(power)[..., _group_of_band(groups)]
  return (
    jnp.concatenate(levels, axis=-1),
    jnp.concatenate(_middle_and_side(shape), axis=-1),
  )


def join(
  levels: Float[Array, "b f g"], shape: Float[Array, "b f d"], groups: Groups
) -> Float[Array, "b f d"]:
  """The inverse of `split`.

  A network's shape need not have RMS 1: it is brought to it, so that levels
  alone are in charge of level.
  """
  middle, side = jnp.split(levels, 2, axis=-1)
  log = _left_and_right(_SPREAD * middle + _CENTRE, _SIDE_SPREAD * side)
  stereo = _left_and_right(*jnp.split(shape, 2, axis=-1))
  gain = jnp.exp(jnp.minimum(log, _LOUDEST))
  gain *= jax.lax.rsqrt(_power(stereo, groups) + _FLAT)
  return (stereo * gain[..., _group_of_band(groups)]).reshape(shape.shape)


def _k_power(
  spectra: Float[Array, "b f d"], blocks: int
) -> Float[Array, "b l 2"]:
  """Mean K-weighted power of left and right over every `blocks` blocks."""
  batch, frames, width = spectra.shape
  bands = width // 2
  centres = (np.arange(bands) + 0.5) * timing.SAMPLE_RATE / (2 * bands)
  weight = loudness_lib.k_weighting_gain(centres) ** 2 / (bands * blocks)
  cells = spectra.reshape(batch, frames // blocks, blocks, 2, bands)
  power = jnp.square(cells) @ weight.astype(np.float32)
  return jnp.sum(power, axis=2)


def loudness(
  spectra: Float[Array, "b f d"], *, blocks: int
) -> Float[Array, "b l 2"]:
  """Log of the K-weighted RMS over every `blocks` blocks.

  Args:
    spectra: of left and right, one after the other.
    blocks: of a latent.

  Returns:
    of order one: the mean of left and right, then half their difference.
  """
  return loudness_of_power(_k_power(spectra, blocks))


def loudness_of_power(power: Float[Array, "b l 2"]) -> Float[Array, "b l 2"]:
  """`loudness` of left and right with these K-weighted powers."""
  log = 0.5 * jnp.log(power + _SILENT**2)
  middle, side = _middle_and_side(log[..., None])
  middle = (middle - _LOUD_CENTRE) / _LOUD_SPREAD
  return jnp.concatenate([middle, side / _LOUD_SIDE_SPREAD], axis=-1)


def power_of_loudness(
  loudness: Float[Array, "b l 2"],
) -> Float[Array, "b l 2"]:
  """The inverse of `loudness_of_power`; what is silent has next to none."""
  middle, side = jnp.split(loudness, 2, axis=-1)
  middle = _LOUD_SPREAD * middle + _LOUD_CENTRE
  log = _left_and_right(middle, _LOUD_SIDE_SPREAD * side)[..., 0]
  power = jnp.exp(2.0 * jnp.minimum(log, _LOUDEST)) - _SILENT**2
  # Not 0, where a square root has no slope.
  return jnp.maximum(power, _NO_POWER)


def at_loudness(
  spectra: Float[Array, "b f d"],
  wanted: Float[Array, "b l 2"],
  *,
  blocks: int,
) -> Float[Array, "b f d"]:
  """The spectra, as loud as `loudness` gives `wanted` for."""
  power = _k_power(spectra, blocks) + _NO_POWER
  gain = jnp.sqrt(power_of_loudness(wanted) / power)
  gain = jnp.repeat(gain, blocks, axis=1)[..., None]
  return (spectra.reshape(*gain.shape[:3], -1) * gain).reshape(spectra.shape)


def distance(
  x: Float[Array, "b t 2"], y: Float[Array, "b t 2"], groups: Groups
) -> Float[Array, ""]:
  """L1 between two waves' levels, left and right, in nepers.

  The mean over three sizes of cells: every group in every block, every group
  over `_POOLED` blocks, all bands over as many. A mean of logarithms is below
  the logarithm of the mean: fine cells alone would leave a click 10 dB short.
  """

  def logs(wave):
    spectra = mdct.mdct(wave, bands=bands(groups))
    fine = _power(spectra.reshape(*spectra.shape[:2], 2, -1), groups)
    whole = fine.shape[1] // _POOLED * _POOLED
    blocks = fine[:, :whole].reshape(len(fine), -1, _POOLED, *fine.shape[2:])
    pooled = jnp.mean(blocks, axis=2)
    sizes = np.bincount(_group_of_band(groups)) / bands(groups)
    cells = fine, pooled, pooled @ sizes.astype(np.float32)
    return [jnp.log(power + _QUIET**2) for power in cells]

  pairs = zip(logs(x), logs(y), strict=True)
  return sum(0.5 * jnp.mean(jnp.abs(a - b)) for a, b in pairs) / 3.0


def _middle_and_side(x: Float[Array, "b f 2 n"]):
  return 0.5 * (x[:, :, 0] + x[:, :, 1]), 0.5 * (x[:, :, 0] - x[:, :, 1])


def _left_and_right(middle: Float[Array, "b f n"], side: Float[Array, "b f n"]):
  return jnp.stack([middle + side, middle - side], axis=2)


def principal(
  rows: Float[np.ndarray, "n d"], latents: int
) -> tuple[
  Float[np.ndarray, "d"], Float[np.ndarray, "d k"], Float[np.ndarray, "k"]
]:
  """Mean, principal directions (largest variance first), deviations."""
  mean = rows.mean(axis=0)
  variance, directions = np.linalg.eigh(np.cov((rows - mean).T))
  chosen = slice(None, -latents - 1, -1)
  return mean, directions[:, chosen], np.sqrt(variance[chosen])
