"""Short-time spectra, and the spectral losses that the codec trains on.

The multi-resolution STFT loss (Yamamoto et al. 2019, arXiv 1910.11480) as
auraloss computes it, over sum, difference, left and right (Steinmetz et al.
2020, arXiv 2010.10291; weights as in papers.md 3.8). Every step up to the
magnitudes is linear, so sum and difference are taken from the spectra of left
and right: two transforms, not four.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
import scipy.signal
from jaxtyping import Array, Complex, Float

# Oobleck's. Fewer make a cheaper loss: (2048, 512, 128) at a third of the time.
FFTS = (2048, 1024, 512, 256, 128, 64, 32)

# Below this a product with the DFT's matrix is faster than an FFT.
_MATRIX_DFT = 128

_FLOOR = 1e-8  # of the power, as in auraloss


def frames(
  x: Float[Array, "b t"], *, length: int, hop: int
) -> Float[Array, "b f n"]:
  """Overlapping frames, as many as fit whole; `length` a multiple of `hop`.

  By reshape and concatenation: a gather is slow, and its gradient a scatter.
  """
  overlap = length // hop
  count = (x.shape[1] - length) // hop + 1
  blocks = x[:, : (count + overlap - 1) * hop].reshape(x.shape[0], -1, hop)
  shifted = [blocks[:, i : i + count] for i in range(overlap)]
  return jnp.concatenate(shifted, axis=-1)


@jax.custom_vjp
def _rfft(x: Float[Array, "b f n"]) -> Complex[Array, "b f k"]:
  """`jnp.fft.rfft`, whose own gradient is a complex FFT of twice the work."""
  return jnp.fft.rfft(x)


def _rfft_backward(_: None, gradient: Complex[Array, "b f k"]):
  # The transpose of an even rfft is an irfft of the conjugate, in which the
  # bins that an irfft counts twice, all but the first and last, weigh half.
  n = 2 * (gradient.shape[-1] - 1)
  weight = np.full(n // 2 + 1, n / 2, np.float32)
  weight[[0, -1]] = n
  return (jnp.fft.irfft(gradient.conj() * weight[None, None]),)


_rfft.defvjp(lambda x: (_rfft(x), None), _rfft_backward)


@functools.cache
def _windowed_dft(n_fft: int) -> Float[np.ndarray, "n two_f"]:
  """Hann window times the real DFT: cosines, then sines."""
  window = scipy.signal.get_window("hann", n_fft)
  turns = np.outer(np.arange(n_fft), np.arange(n_fft // 2 + 1)) / n_fft
  angle = 2 * np.pi * turns
  basis = np.concatenate([np.cos(angle), -np.sin(angle)], axis=1)
  return (basis * window[:, None]).astype(np.float32)


def stft(
  x: Float[Array, "b t"], n_fft: int, *, hop: int, centre: bool = True
) -> Complex[Array, "b f k"]:
  """Spectra under a periodic Hann window, as `torch.stft`'s.

  Args:
    x: float32 waves.
    n_fft: samples a frame, a multiple of `hop`.
    hop: samples between frames.
    centre: frame i is centred on sample i x hop, the wave mirrored at its
      ends; otherwise it starts there.
  """
  if centre:
    x = jnp.pad(x, ((0, 0), (n_fft // 2, n_fft // 2)), mode="reflect")
  x = frames(x, length=n_fft, hop=hop)
  if n_fft <= _MATRIX_DFT:
    real, imaginary = jnp.split(x @ _windowed_dft(n_fft), 2, axis=-1)
    return jax.lax.complex(real, imaginary)
  window = scipy.signal.get_window("hann", n_fft).astype(np.float32)
  return _rfft(x * window[None, None])


@functools.cache
def a_weighting(rate: int = 44_100, taps: int = 101) -> Float[np.ndarray, " n"]:
  """A symmetric FIR whose gain is the A curve of hearing (IEC 61672).

  The analogue prototype, made digital and fitted by least squares as in
  auraloss, after Wright & Valimaki 2019 (arXiv 1911.08922).
  """
  corners = 2 * np.pi * np.array([20.598997, 107.65265, 737.86223, 12194.217])
  low, second, third, high = corners
  gain = high**2 * 10 ** (1.9997 / 20)  # 0 dB at 1 kHz
  poles = -np.array([high, high, low, low, third, second])
  b, a = scipy.signal.bilinear([gain, 0, 0, 0, 0], np.poly(poles), fs=rate)
  frequency, response = scipy.signal.freqz(b, a, worN=512, fs=rate)
  fir = scipy.signal.firls(taps, frequency, np.abs(response), fs=rate)
  return fir.astype(np.float32)


def filter_symmetric(
  x: Float[Array, "b t"], fir: Float[np.ndarray, " n"], *, block: int = 128
) -> Float[Array, "b t"]:
  """Convolves with a symmetric FIR of odd length, keeping the length.

  One product per block with the filter's banded Toeplitz matrix; XLA's
  convolution of a single channel is many times slower on a CPU.
  """
  half = len(fir) // 2
  length = x.shape[1]
  tail = -length % block
  x = jnp.pad(x, ((0, 0), (block, block + tail)))
  blocks = x.reshape(x.shape[0], -1, block)
  context = jnp.concatenate(
    [blocks[:, :-2, block - half :], blocks[:, 1:-1], blocks[:, 2:, :half]],
    axis=-1,
  )
  matrix = np.zeros((block + 2 * half, block), np.float32)
  for column in range(block):
    matrix[column : column + len(fir), column] = fir
  return (context @ matrix).reshape(x.shape[0], -1)[:, :length]


def _power(spectrum: Complex[Array, "b f k"]) -> Float[Array, "b f k"]:
  power = jnp.square(spectrum.real) + jnp.square(spectrum.imag)
  return jnp.maximum(power, _FLOOR)


def spectral_distance(
  x: Complex[Array, "b f k"], y: Complex[Array, "b f k"]
) -> Float[Array, ""]:
  """Spectral convergence plus L1 of the log magnitudes; y is the target.

  The convergence is a ratio of norms over the whole batch, so that a silent
  clip does not divide by next to nothing.
  """
  x, y = _power(x), _power(y)
  error = jnp.sum(jnp.square(jnp.sqrt(x) - jnp.sqrt(y)))
  # The square root's slope at 0 is infinite: a batch without a difference
  # channel, reconstructed so, would make NaN of every gradient.
  convergence = jnp.sqrt(jnp.maximum(error, 1e-12) / jnp.sum(y))
  # Half the logarithm of a power is that of a magnitude.
  return convergence + 0.5 * jnp.mean(jnp.abs(jnp.log(x) - jnp.log(y)))


def _left_and_right(
  wave: Float[Array, "b t 2"], weighting: Float[np.ndarray, " n"] | None
) -> Float[Array, "two_b t"]:
  channels = wave.transpose(2, 0, 1).reshape(2 * wave.shape[0], -1)
  if weighting is None:
    return channels
  return filter_symmetric(channels, weighting)


def multi_resolution(
  x: Float[Array, "b t 2"],
  y: Float[Array, "b t 2"],
  *,
  ffts: Sequence[int] = FFTS,
  weighting: Float[np.ndarray, " n"] | None = None,
) -> Float[Array, ""]:
  """Distance of a stereo reconstruction from its target.

  The mean over resolutions, window n and hop n / 4, of (sum + difference) / 2
  + (left + right) / 2.

  Args:
    x: the reconstruction.
    y: the target.
    ffts: resolutions, in samples.
    weighting: a symmetric FIR applied to both first, as `a_weighting()`.
  """
  # Apart to the end: no gradient is wanted for the target.
  x, y = _left_and_right(x, weighting), _left_and_right(y, weighting)
  total = jnp.zeros(())
  for n_fft in ffts:
    ours, theirs = (
      jnp.split(stft(wave, n_fft, hop=n_fft // 4), 2) for wave in (x, y)
    )
    for mix in (operator.add, operator.sub):
      total += 0.5 * spectral_distance(mix(*ours), mix(*theirs))
    for a, b in zip(ours, theirs, strict=True):
      total += 0.5 * spectral_distance(a, b)
  return total / len(ffts)
