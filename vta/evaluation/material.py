"""Which material was struck: a small classifier trained on true yard sound.

Linear discriminant analysis on the spectrum of the first moments after the
loudest onset: enough to tell the yard's materials apart, and nothing of it has
ever seen generated sound.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import scipy.signal
from jaxtyping import Float

from vta.signals import events, timing

_BANDS = 32
# Seconds after the onset in which the spectrum is taken: strike, ring, decay.
_SLICES = ((0.0, 0.03), (0.03, 0.1), (0.1, 0.25))
_SHRINKAGE = 0.1


@dataclasses.dataclass(frozen=True, kw_only=True)
class MaterialClassifier:
  """Linear scores per material; see `fit`."""

  materials: tuple[str, ...]
  weights: Float[np.ndarray, "d k"]
  bias: Float[np.ndarray, "k"]

  def classify(self, wave: Float[np.ndarray, "t 2"]) -> str | None:
    """The likeliest material; None for a wave without an onset."""
    features = describe(wave)
    if features is None:
      return None
    return self.materials[int(np.argmax(features @ self.weights + self.bias))]


def fit(
  waves: Sequence[Float[np.ndarray, "t 2"]], labels: Sequence[str]
) -> MaterialClassifier:
  """Trains on true sounds of one struck thing each."""
  described = [describe(wave) for wave in waves]
  rows = [
    (x, y) for x, y in zip(described, labels, strict=True) if x is not None
  ]
  x = np.stack([row for row, _ in rows])
  materials = tuple(sorted(set(labels)))
  index = np.array([materials.index(label) for _, label in rows])
  means = np.stack([x[index == k].mean(axis=0) for k in range(len(materials))])
  spread = np.cov((x - means[index]).T)
  # Shrunk towards a sphere: there are about as many features as sounds.
  sphere = np.trace(spread) / len(spread) * np.eye(len(spread))
  spread = (1.0 - _SHRINKAGE) * spread + _SHRINKAGE * sphere
  weights = np.linalg.solve(spread, means.T)
  bias = -0.5 * np.einsum("kd,dk->k", means, weights)
  return MaterialClassifier(materials=materials, weights=weights, bias=bias)


def describe(
  wave: Float[np.ndarray, "t 2"], *, rate: int = timing.SAMPLE_RATE
) -> Float[np.ndarray, "d"] | None:
  """Log spectra after the loudest onset, less their mean: level is no clue."""
  onsets = events.onsets(wave, rate=rate)
  if not len(onsets):
    return None
  mono = wave.mean(axis=1)
  starts = [int(t * rate) for t in onsets]
  energy = [np.square(mono[i : i + rate // 10]).sum() for i in starts]
  first = starts[int(np.argmax(energy))]
  edges = np.geomspace(80.0, 16_000.0, _BANDS + 1)
  spectra = []
  for begin, end in _SLICES:
    part = mono[first + int(begin * rate) : first + int(end * rate)]
    part = np.pad(part, (0, max(0, 512 - len(part))))
    frequencies, power = scipy.signal.periodogram(part, rate, window="hann")
    band = np.digitize(frequencies, edges) - 1
    total = np.zeros(_BANDS)
    inside = (band >= 0) & (band < _BANDS)
    np.add.at(total, band[inside], power[inside])
    spectra.append(10.0 * np.log10(total + 1e-12))
  spectra = np.concatenate(spectra)
  return spectra - spectra.mean()
