"""Loudness as a curve that can be drawn: LUFS per channel over time.

`momentary` is the control of Tri-Ergon (papers.md 3.1): BS.1770 K-weighting,
mean square in blocks of 1/6 s without overlap or gates, each channel on its
own. The filters are pyloudnorm's "K-weighting" (csteinmetz1/pyloudnorm,
meter.py and iirfilter.py), designed for the wave's own rate.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

import numpy as np
import scipy.signal
from jaxtyping import Float, Int

from vta.signals import document, timing

FLOOR = -70.0  # LUFS: BS.1770's absolute gate; anything below is silence
CEILING = 0.0
# From dB of K-weighted power to LUFS: cancels the weighting's gain at 1 kHz
# (BS.1770, eq. 2).
OFFSET = -0.691
BLOCK = 1 / 6  # seconds


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Loudness:
  """Loudness of the left and right channel at time stamps.

  Between stamps it is linear in LUFS, beyond them the end values are held.
  Every edit returns a new object.

  Attributes:
    times: stamps, s, strictly increasing.
    lufs: momentary loudness per channel, FLOOR (silent) to CEILING.
  """

  times: Float[np.ndarray, "n"]
  lufs: Float[np.ndarray, "n 2"]

  def __post_init__(self):
    timing.check_increasing(self.times)
    if self.lufs.shape != (len(self.times), 2):
      raise ValueError(f"{len(self.times)} times, lufs {self.lufs.shape}")

  def __eq__(self, other: object) -> bool:
    return (
      isinstance(other, Loudness)
      and np.array_equal(self.times, other.times)
      and np.array_equal(self.lufs, other.lufs)
    )

  def resample(self, times: Float[np.ndarray, "m"]) -> Loudness:
    """The same curve at other stamps."""
    return Loudness(
      times=times, lufs=timing.interpolate(self.lufs, self.times, times)
    )

  def gain(self, db: float | int) -> Loudness:
    """Louder or softer by `db`; silence stays silence."""
    louder = np.clip(self.lufs + db, FLOOR, CEILING)
    return dataclasses.replace(
      self, lufs=np.where(self.lufs <= FLOOR, FLOOR, louder)
    )

  def crop(self, start: float | int, end: float | int) -> Loudness:
    """The curve between two times, on a time axis that begins at `start`."""
    part = self.resample(timing.knots(self.times, start, end))
    return dataclasses.replace(part, times=part.times - start)

  def shift(self, seconds: float | int, *, duration: float | int) -> Loudness:
    """Later (or, if negative, earlier) by `seconds`, within 0..duration."""
    moved = dataclasses.replace(self, times=self.times + seconds)
    return moved.crop(0.0, duration)

  def stretch(self, factor: float | int) -> Loudness:
    """The same curve, `factor` times as long."""
    return dataclasses.replace(self, times=self.times * factor)

  def line(
    self,
    start: tuple[float | int, float | int],
    end: tuple[float | int, float | int],
    *,
    channel: Literal[0, 1] | None = None,
  ) -> Loudness:
    """Draws a straight line from (time, LUFS) to (time, LUFS).

    Args:
      start: where the line begins.
      end: where it ends, later than `start`.
      channel: 0 left, 1 right; both when None.
    """
    (first, low), (last, high) = start, end
    if not first < last:
      raise ValueError(f"a line from {first} s to {last} s runs backwards")
    times = np.union1d(self.times, [float(first), float(last)])
    lufs = self.resample(times).lufs.copy()
    inside = (times >= first) & (times <= last)
    drawn = np.interp(times[inside], [first, last], [low, high])
    drawn = np.clip(drawn, FLOOR, CEILING)[:, None]
    columns = [0, 1] if channel is None else [channel]
    lufs[np.ix_(inside, columns)] = drawn
    return Loudness(times=times, lufs=lufs)

  def merge(self, other: Loudness) -> Loudness:
    """Loudness of two tracks that sound together: the sum of their powers."""
    times = np.union1d(self.times, other.times)
    parts = [one.resample(times).lufs for one in (self, other)]
    # Silence has no power; -70 LUFS twice must not add up to -67.
    power = sum(np.where(p <= FLOOR, 0.0, 10 ** (p / 10)) for p in parts)
    lufs = np.clip(_decibel(power), FLOOR, CEILING)
    return Loudness(times=times, lufs=lufs)


def k_weight(
  wave: Float[np.ndarray, "t c"], *, rate: float | int = timing.SAMPLE_RATE
) -> Float[np.ndarray, "t c"]:
  """K-weighting, the ear's rough frequency response, in float64.

  A +4 dB shelf above 1500 Hz (the head), then a high-pass at 38 Hz.

  Args:
    wave: samples by channels.
    rate: samples per second.
  """
  sections = np.stack([_high_shelf(rate), _high_pass(rate)])
  return scipy.signal.sosfilt(sections, wave.astype(np.float64), axis=0)


def k_weighting_gain(
  frequencies: Float[np.ndarray, "f"], *, rate: float | int = timing.SAMPLE_RATE
) -> Float[np.ndarray, "f"]:
  """The magnitude of `k_weight`'s response at `frequencies`, Hz."""
  sections = np.stack([_high_shelf(rate), _high_pass(rate)])
  _, response = scipy.signal.sosfreqz(sections, frequencies, fs=rate)
  return np.abs(response)


def momentary(
  wave: Float[np.ndarray, "t 2"],
  *,
  rate: float | int = timing.SAMPLE_RATE,
  block: float = BLOCK,
) -> Loudness:
  """Momentary loudness of each channel in consecutive blocks.

  A last block of at least a quarter of `block` is measured on what it has; a
  shorter rest is left out, since it says next to nothing about loudness. A
  wave shorter than one block is one block.

  Args:
    wave: stereo samples, full scale +-1.
    rate: samples per second.
    block: seconds per block.

  Returns:
    LUFS clipped to FLOOR..CEILING, stamped at the blocks' centres.

  Raises:
    ValueError: the wave has no samples.
  """
  if not len(wave):
    raise ValueError("a wave without samples has no loudness")
  edges = block_edges(len(wave), rate=rate, block=block)
  weighted = k_weight(wave, rate=rate)
  power = mean_square(weighted, edges[:-1], edges[1:])
  lufs = np.clip(OFFSET + _decibel(power), FLOOR, CEILING)
  return Loudness(times=(edges[:-1] + edges[1:]) / (2 * rate), lufs=lufs)


def block_edges(
  samples: int,
  *,
  rate: float | int = timing.SAMPLE_RATE,
  block: float = BLOCK,
) -> Int[np.ndarray, "n"]:
  """Where the blocks of `momentary` begin, and where the last ends."""
  size = block * rate
  # Rounded one by one: block lengths then differ by a sample but never drift.
  count = max(1, int(samples / size + 0.75))
  edges = np.round(np.arange(count + 1) * size).astype(np.int64)
  edges[-1] = min(edges[-1], samples)
  return edges


def unit(lufs: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
  """FLOOR..CEILING to 0..1, as networks see it: 0 is silence, not "unknown"."""
  return (lufs - FLOOR) / (CEILING - FLOOR)


def from_unit(values: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
  """Inverse of `unit`."""
  return values * (CEILING - FLOOR) + FLOOR


def mean_square(
  wave: Float[np.ndarray, "t c"],
  starts: Int[np.ndarray, "n"],
  ends: Int[np.ndarray, "n"],
) -> Float[np.ndarray, "n c"]:
  """Mean square of each channel over samples starts..ends, in float64.

  Spans may overlap. Each is summed on its own: differences of a running sum
  would leave rounding noise where a loud sound turns into true silence.
  """
  squares = np.square(wave, dtype=np.float64)
  # reduceat takes no index past the end, which is where a last span ends.
  squares = np.concatenate([squares, np.zeros((1, wave.shape[1]))])
  bounds = np.stack([starts, ends], axis=1).ravel()
  return np.add.reduceat(squares, bounds)[::2] / (ends - starts)[:, None]


def to_json(loudness: Loudness) -> dict[str, Any]:
  """{"times": [s, ..], "lufs": [[left, right], ..]}."""
  return {
    "times": loudness.times.tolist(),
    "lufs": loudness.lufs.tolist(),
  }


def from_json(value: Any, *, where: str, duration: float) -> Loudness:
  """Inverse of `to_json`.

  Raises:
    InputError: not a loudness curve within 0..duration.
  """
  fields = document.record(value, where, required=("times", "lufs"))
  times = document.times(fields["times"], f"{where}.times", duration=duration)
  lufs = document.table(
    fields["lufs"],
    f"{where}.lufs",
    shape=(len(times), 2),
    low=FLOOR,
    high=CEILING,
  )
  return Loudness(times=times, lufs=lufs)


def _decibel(power: Float[np.ndarray, "n c"]) -> Float[np.ndarray, "n c"]:
  """10 log10 of a power; -300 dB for none at all."""
  return 10 * np.log10(np.maximum(power, 1e-30))


def _high_shelf(rate: float | int) -> Float[np.ndarray, "6"]:
  """Biquad [b, a]: +4 dB above 1500 Hz, Q = 1/sqrt(2) (RBJ's cookbook)."""
  gain, quality, frequency = 4.0, 1 / np.sqrt(2), 1500.0
  a = 10 ** (gain / 40)
  omega = 2 * np.pi * frequency / rate
  cos = np.cos(omega)
  slope = np.sqrt(a) * np.sin(omega) / quality
  numerator = a * np.array(
    [
      (a + 1) + (a - 1) * cos + slope,
      -2 * ((a - 1) + (a + 1) * cos),
      (a + 1) + (a - 1) * cos - slope,
    ]
  )
  denominator = np.array(
    [
      (a + 1) - (a - 1) * cos + slope,
      2 * ((a - 1) - (a + 1) * cos),
      (a + 1) - (a - 1) * cos - slope,
    ]
  )
  return np.concatenate([numerator, denominator]) / denominator[0]


def _high_pass(rate: float | int) -> Float[np.ndarray, "6"]:
  """Biquad [b, a]: high-pass at 38 Hz, Q = 0.5 (RBJ's cookbook)."""
  quality, frequency = 0.5, 38.0
  omega = 2 * np.pi * frequency / rate
  cos = np.cos(omega)
  alpha = np.sin(omega) / (2 * quality)
  numerator = np.array([(1 + cos) / 2, -(1 + cos), (1 + cos) / 2])
  denominator = np.array([1 + alpha, -2 * cos, 1 - alpha])
  return np.concatenate([numerator, denominator]) / denominator[0]
