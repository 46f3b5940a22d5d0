"""Sound as LanguageBind's audio tower sees it: a picture of three log-mels.

Zhu et al. 2023 (arXiv 2310.01852), and languagebind/audio/processing_audio.py
where the paper is silent: Kaldi's log-mel energies of the sound at 16 kHz, 100
frames a second, three stretches of which are the picture's three colours.
Whatever is odd there (int16 scale not restored, the last FFT bin unused) the
released weights were trained with.
"""

from __future__ import annotations

import dataclasses
import functools
import math

import numpy as np
from jaxtyping import Float

# Kaldi's defaults, but for the window, in samples at 16 kHz.
_FRAME, _SHIFT = 0.025, 0.01  # seconds
_PREEMPHASIS = 0.97
_LOWEST = 20.0  # Hz
# torchaudio.functional.resample's defaults.
_ZEROS, _ROLLOFF = 6, 0.99


@dataclasses.dataclass(frozen=True, kw_only=True)
class Processor:
  """Settings of a LanguageBind audio model's config.json.

  Attributes:
    bins: mel bands, the picture's height.
    frames: its width.
    rate: of the sound, Hz.
    mean: subtracted from the log energies.
    std: half of what they are divided by then.
  """

  bins: int
  frames: int
  rate: int
  mean: float
  std: float

  def __call__(
    self, wave: Float[np.ndarray, "t c"], rate: int
  ) -> Float[np.ndarray, "bins frames 3"]:
    """One sound as a picture, low bands first.

    Of several channels the first is seen, as theirs does. A short sound is
    repeated. Of a long one the colours show the start, and what begins one and
    two thirds of the way to the last stretch; theirs draws three places in
    these thirds at random.

    Raises:
      ValueError: the sound is shorter than a frame, 25 ms.
    """
    energies = log_mel(resample(wave, rate, self.rate), self.rate, self.bins)
    count = len(energies)
    if not count:
      raise ValueError(
        f"the sound lasts {len(wave) / rate:.4f} s; at least {_FRAME} s are "
        "needed"
      )
    spare = count - self.frames
    if spare > 0:
      # A third may be empty, and is the start's then.
      thirds = np.array_split(np.arange(spare + 1), 3)
      starts = [int(third[0]) if len(third) else 0 for third in thirds]
    else:
      starts = [0] * 3
      energies = np.tile(energies, (-(-self.frames // count), 1))
    seen = np.stack([energies[s : s + self.frames] for s in starts], axis=-1)
    picture = (seen - self.mean) / (2 * self.std)
    return picture.swapaxes(0, 1).astype(np.float32)


def log_mel(
  wave: Float[np.ndarray, "t c"], rate: int, bins: int
) -> Float[np.ndarray, "frames {bins}"]:
  """Natural logarithms of mel energies of the first channel.

  Kaldi's compute-fbank-feats with a Hann window, without dither, as in
  torchaudio.compliance.kaldi.fbank: frames that lie within the sound only.
  """
  mono = wave[:, 0].astype(np.float64)
  size, shift = int(rate * _FRAME), int(rate * _SHIFT)
  if len(mono) < size:
    return np.zeros((0, bins))
  frames = np.lib.stride_tricks.sliding_window_view(mono, size)[::shift]
  # Theirs takes the whole sound's mean off first, which changes nothing.
  frames = frames - frames.mean(axis=1, keepdims=True)
  before = np.concatenate([frames[:, :1], frames[:, :-1]], axis=1)
  frames = (frames - _PREEMPHASIS * before) * np.hanning(size)
  padded = 1 << (size - 1).bit_length()
  power = np.abs(np.fft.rfft(frames, padded)) ** 2
  energies = power[:, :-1] @ _bands(bins, padded, rate).T
  return np.log(np.maximum(energies, np.finfo(np.float32).eps))


@functools.cache
def _bands(bins: int, size: int, rate: int) -> np.ndarray:
  """Weight of each FFT bin in each band: triangles in mel, not in hertz."""

  def mel(frequency):
    return 1127 * np.log1p(frequency / 700)

  edges = np.linspace(mel(_LOWEST), mel(rate / 2), bins + 2)[:, None]
  left, centre, right = edges[:-2], edges[1:-1], edges[2:]
  places = mel(np.arange(size // 2) * rate / size)
  rising = (places - left) / (centre - left)
  falling = (right - places) / (right - centre)
  return np.maximum(np.minimum(rising, falling), 0)


def resample(
  wave: Float[np.ndarray, "t c"], source_rate: int, rate: int
) -> Float[np.ndarray, "u c"]:
  """As torchaudio.functional.resample: a Hann-windowed sinc, six zeros wide.

  Not soxr as in media/read.py: its passband ends elsewhere, and the highest
  bands would differ from what the tower was trained on.
  """
  if source_rate == rate:
    return wave
  shared = math.gcd(source_rate, rate)
  old, new = source_rate // shared, rate // shared
  cut = min(old, new) * _ROLLOFF
  reach = math.ceil(_ZEROS * old / cut)
  # One filter per phase of the output, over one period of the input.
  places = np.arange(-reach, reach + old) / old
  places = cut * (places - np.arange(new)[:, None] / new)
  places = np.clip(places, -_ZEROS, _ZEROS)
  window = np.cos(places * np.pi / _ZEROS / 2) ** 2
  filters = np.sinc(places) * window * cut / old
  padded = np.pad(wave, ((reach, reach + old), (0, 0)))
  view = np.lib.stride_tricks.sliding_window_view(
    padded, filters.shape[1], axis=0
  )[::old]
  made = (view @ filters.T.astype(wave.dtype)).swapaxes(1, 2)
  length = math.ceil(new * len(wave) / old)
  return made.reshape(-1, wave.shape[1])[:length]
