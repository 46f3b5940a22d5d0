"""An orthonormal lapped transform: a wave as a short sequence of spectra.

The modified discrete cosine transform (Princen, Johnson & Bradley 1987) with
the sine window, in the lattice form of Malvar's lapped transforms: around every
boundary between two blocks a rotation of each mirrored pair of samples, then a
DCT-IV of every block. Both steps are orthogonal, hence so is the whole: energy
is kept and the inverse, the same steps backwards, is exact. The two ends of the
wave have no neighbour and no rotation, so t samples become exactly t values.

It costs one [bands, bands] product per block, and a network behind it runs at
1 / bands of the wave's rate.
"""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float


def _dct4(bands: int) -> Float[np.ndarray, "n n"]:
  """The orthonormal DCT-IV, symmetric and its own inverse."""
  half = np.arange(bands) + 0.5
  basis = np.sqrt(2 / bands) * np.cos(np.pi / bands * np.outer(half, half))
  return basis.astype(np.float32)


def _rotate(
  blocks: Float[Array, "b f n c"], *, sign: int
) -> Float[Array, "b f n c"]:
  """Rotates the pairs mirrored about each inner boundary by sign x angle."""
  bands = blocks.shape[2]
  half = bands // 2
  # A DCT-IV's cosines are even about a block's start and odd about its end:
  # with these signs the rotation extends them smoothly over the boundary.
  window = np.pi * (np.arange(bands) + 0.5) / (2 * bands)
  cosine = np.sin(window[half:]).astype(np.float32)[None, None, :, None]
  sine = sign * np.sin(window[half - 1 :: -1]).astype(np.float32)
  sine = sine[None, None, :, None]
  before = blocks[:, :-1, half:][:, :, ::-1]
  after = blocks[:, 1:, :half]
  new_before = (cosine * before - sine * after)[:, :, ::-1]
  new_after = cosine * after + sine * before
  left = jnp.concatenate([blocks[:, :1, :half], new_after], axis=1)
  right = jnp.concatenate([new_before, blocks[:, -1:, half:]], axis=1)
  return jnp.concatenate([left, right], axis=2)


def mdct(wave: Float[Array, "b t c"], *, bands: int) -> Float[Array, "b f d"]:
  """The wave's spectra, one per block of `bands` samples.

  Args:
    wave: float32; t is a multiple of `bands`.
    bands: samples a block, even.

  Returns:
    for every block the coefficients of channel 0, low to high, then channel 1.
  """
  batch, length, channels = wave.shape
  frames = length // bands
  blocks = wave.reshape(batch, frames, bands, channels)
  blocks = _rotate(blocks, sign=1)
  spectra = jnp.einsum("bfnc,nk->bfck", blocks, _dct4(bands))
  return spectra.reshape(batch, frames, channels * bands)


def inverse_mdct(
  spectra: Float[Array, "b f d"], *, bands: int
) -> Float[Array, "b t c"]:
  """The wave of which these are the spectra; see `mdct`."""
  batch, frames, width = spectra.shape
  channels = width // bands
  spectra = spectra.reshape(batch, frames, channels, bands)
  blocks = jnp.einsum("bfck,nk->bfnc", spectra, _dct4(bands))
  return _rotate(blocks, sign=-1).reshape(batch, frames * bands, channels)
