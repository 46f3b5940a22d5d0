"""Sound as CLAP's audio tower sees it: ten seconds of log-mels.

What transformers' ClapFeatureExtractor makes for a model without fusion, with
the settings of preprocessor_config.json.
"""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Mapping

import numpy as np
import soxr
from jaxtyping import Float

from vta import errors
from vta.encoders import vit, weights

FILE = "preprocessor_config.json"
_PORTED: Mapping[str, tuple] = {
  "feature_extractor_type": ("ClapFeatureExtractor",),
  "padding": ("repeatpad",),
  "padding_value": (0,),
}
_FLOOR = 1e-10  # power, -100 dB


@dataclasses.dataclass(frozen=True, kw_only=True)
class Processor:
  """Settings of preprocessor_config.json, under its names and defaults."""

  feature_size: int = 64
  sampling_rate: int = 48_000
  hop_length: int = 480
  max_length_s: int = 10
  fft_window_size: int = 1024
  frequency_min: float = dataclasses.field(default=0.0, metadata=vit.SIGNED)
  frequency_max: float = 14_000.0
  truncation: str = "fusion"

  @classmethod
  def load(cls, path: str | os.PathLike) -> Processor:
    """Reads a preprocessor_config.json.

    Raises:
      InputError: listing what is of no use or not ported.
    """
    document = weights.read_config(path)
    weights.require(document, _PORTED, where=path)
    processor = vit.parse(cls, document, where=path)
    if processor.truncation != "rand_trunc":
      raise errors.InputError(
        path,
        f"truncation is {processor.truncation!r}; only 'rand_trunc', of models "
        "without fusion, is supported",
      )
    return processor

  @property
  def frames(self) -> int:
    """Of a picture; they lie around both ends of the sound too."""
    return 1 + self.max_length_s * self.sampling_rate // self.hop_length

  def __call__(
    self, wave: Float[np.ndarray, "t c"], rate: int
  ) -> Float[np.ndarray, "{self.frames} {self.feature_size}"]:
    """Decibels in mel bands of the channels' mean, low bands first.

    A short sound is repeated whole, and silence follows. Of a long one the
    start is seen; theirs draws a place at random.

    Raises:
      ValueError: there is no sound.
    """
    mono = wave.mean(axis=1)
    if rate != self.sampling_rate:
      mono = soxr.resample(mono, rate, self.sampling_rate)
    if not len(mono):
      raise ValueError("the sound is empty")
    length = self.max_length_s * self.sampling_rate
    mono = np.tile(mono, max(length // len(mono), 1))[:length]
    size = self.fft_window_size
    mono = np.pad(mono.astype(np.float64), (0, length - len(mono)))
    mono = np.pad(mono, size // 2, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(mono, size)
    frames = frames[:: self.hop_length] * np.hanning(size + 1)[:-1]
    power = np.abs(np.fft.rfft(frames)) ** 2
    energies = np.maximum(power @ _bands(self).T, _FLOOR)
    return (10 * np.log10(energies)).astype(np.float32)


@functools.cache
def _bands(processor: Processor) -> np.ndarray:
  """Slaney's triangles, of equal areas; fused models have others."""
  import librosa  # 1 s to import.

  return librosa.filters.mel(
    sr=processor.sampling_rate,
    n_fft=processor.fft_window_size,
    n_mels=processor.feature_size,
    fmin=processor.frequency_min,
    fmax=processor.frequency_max,
    dtype=np.float64,
  )
