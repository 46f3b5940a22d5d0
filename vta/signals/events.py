"""Events: when something sounds, as intervals.

SonicVisionLM's timestamp condition (papers.md 2.1 (ii), eqs. 7 and 8): frames
above a threshold, sounds within 0.02 s of each other merged into one event,
and the 0/1 vector that networks predict and read.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import scipy.signal
from jaxtyping import Bool, Float, Real

from vta.errors import InputError
from vta.signals import document, timing
from vta.signals import loudness as loudness_lib

MERGE_GAP = 0.02  # s
# Two stamps that differ by less are the same: sums of float seconds, not ticks.
_SAME = 1e-9


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Events:
  """Sounding intervals; none at all means silence throughout.

  Every edit returns a new object. `merged` makes one of unordered intervals.

  Attributes:
    intervals: [start, end) in s, sorted and disjoint; they may touch.
  """

  intervals: Float[np.ndarray, "k 2"]

  def __post_init__(self):
    if self.intervals.ndim != 2 or self.intervals.shape[1] != 2:
      raise ValueError(f"intervals must be [k, 2], not {self.intervals.shape}")
    starts, ends = self.intervals.T
    if not (np.all(starts < ends) and np.all(ends[:-1] <= starts[1:])):
      raise ValueError("intervals must have a length, be sorted and disjoint")

  def __eq__(self, other: object) -> bool:
    return isinstance(other, Events) and np.array_equal(
      self.intervals, other.intervals
    )

  def crop(self, start: float | int, end: float | int) -> Events:
    """What lies between two times, on a time axis that begins at `start`."""
    inside = np.clip(self.intervals, start, end)
    return Events(intervals=inside[inside[:, 0] < inside[:, 1]] - start)

  def shift(self, seconds: float | int, *, duration: float | int) -> Events:
    """Later (or, if negative, earlier) by `seconds`, within 0..duration."""
    return Events(intervals=self.intervals + seconds).crop(0.0, duration)

  def stretch(self, factor: float | int) -> Events:
    """The same pattern, `factor` times as long."""
    return Events(intervals=self.intervals * factor)

  def merge(self, other: Events, *, gap: float = MERGE_GAP) -> Events:
    """Events of either; those within `gap` s of each other become one."""
    both = np.concatenate([self.intervals, other.intervals])
    return merged(both, gap=gap)

  def erase(self, start: float | int, end: float | int) -> Events:
    """Nothing sounds between two times; events across an edge are cut."""
    before, after = self.intervals.copy(), self.intervals.copy()
    before[:, 1] = np.minimum(before[:, 1], start)
    after[:, 0] = np.maximum(after[:, 0], end)
    left = np.concatenate([before, after])
    left = left[left[:, 0] < left[:, 1]]
    return Events(intervals=left[np.argsort(left[:, 0])])

  def tidied(
    self, *, gap: float | int = 0.2, shortest: float | int = 0.1
  ) -> Events:
    """Without short gaps, then without what is short still.

    For what a detector found frame by frame; the defaults are papers.md's
    (5.3, ours).

    Args:
      gap: silences shorter than this sound, s.
      shortest: events shorter than this do not, s.
    """
    if not len(self.intervals):
      return self
    starts, ends = self.intervals.T
    apart = starts[1:] - ends[:-1] > gap - _SAME
    starts = starts[np.append(True, apart)]
    ends = ends[np.append(apart, True)]
    long = ends - starts > shortest - _SAME
    return Events(intervals=np.stack([starts, ends], axis=1)[long])


def merged(intervals: Float[np.ndarray, "k 2"], *, gap: float = 0.0) -> Events:
  """Events from intervals in any order, overlapping or not.

  Args:
    intervals: starts and ends, s.
    gap: intervals at most this far apart become one event, s.
  """
  if not len(intervals):
    return Events(intervals=np.zeros((0, 2)))
  starts, ends = intervals[np.argsort(intervals[:, 0], kind="stable")].T
  reach = np.maximum.accumulate(ends)
  new = np.append(True, starts[1:] > reach[:-1] + gap + _SAME)
  last = np.append(np.flatnonzero(new)[1:] - 1, len(starts) - 1)
  return Events(intervals=np.stack([starts[new], reach[last]], axis=1))


def from_wave(
  wave: Float[np.ndarray, "t c"],
  *,
  rate: float | int = timing.SAMPLE_RATE,
  threshold_db: float | int | None = -40.0,
  merge_gap: float = MERGE_GAP,
  min_length: float = 0.02,
) -> Events:
  """Events of a wave: where the RMS of 10 ms frames passes a threshold.

  Args:
    wave: samples by channels, full scale +-1; channels are added in power, so
      that a sound counts the same wherever it is panned.
    rate: samples per second.
    threshold_db: in dB of full scale. None is 5 % of the loudest frame: for
      recordings of unknown level, but it finds events in any noise.
    merge_gap: sounds at most this far apart are one event, s.
    min_length: what is shorter after merging is dropped, s.
  """
  if not len(wave):
    return Events(intervals=np.zeros((0, 2)))
  edges = _frame_edges(len(wave), 0.01 * rate)
  power = loudness_lib.mean_square(wave, edges[:-1], edges[1:])
  rms = np.sqrt(power.mean(axis=1))
  if threshold_db is None:
    threshold = 0.05 * rms.max()
  else:
    threshold = 10 ** (threshold_db / 20)
  runs = _runs(rms > threshold)
  found = merged(edges[runs] / rate, gap=merge_gap).intervals
  length = found[:, 1] - found[:, 0]
  return Events(intervals=found[length >= min_length - _SAME])


def from_binary(
  vector: Real[np.ndarray, "n"] | Bool[np.ndarray, "n"],
  times: Float[np.ndarray, "n"],
  *,
  duration: float | int | None = None,
  merge_gap: float = MERGE_GAP,
) -> Events:
  """Events of a 0/1 vector; each value stands for the time around its stamp.

  Args:
    vector: 0 or 1 (anything above 0.5 counts as 1).
    times: stamps of the values, s, strictly increasing.
    duration: of the clip, s; the first value then holds from 0 and the last to
      the end. None: each reaches as far outwards as inwards, which for stamps
      at bin centres gives the bins' edges.
    merge_gap: events at most this far apart become one, s.

  Returns:
    Intervals that begin and end halfway between stamps.
  """
  timing.check_increasing(times)
  middles = (times[1:] + times[:-1]) / 2
  if duration is not None:
    first, last = 0.0, float(duration)
  elif len(times) > 1:
    first = max(0.0, 2 * times[0] - middles[0])
    last = 2 * times[-1] - middles[-1]
  else:
    raise ValueError("one stamp without a duration spans no time")
  edges = np.concatenate([[first], middles, [last]])
  return merged(edges[_runs(vector > 0.5)], gap=merge_gap)


def to_binary(
  events: Events, times: Float[np.ndarray, "n"]
) -> Float[np.ndarray, "n"]:
  """1 at the stamps inside an event (start <= t < end), 0 elsewhere."""
  # Sorted and disjoint: as many starts as ends passed means outside.
  started = np.searchsorted(events.intervals[:, 0], times, side="right")
  ended = np.searchsorted(events.intervals[:, 1], times, side="right")
  return (started > ended).astype(np.float32)


def onsets(
  wave: Float[np.ndarray, "t c"],
  *,
  rate: float | int = timing.SAMPLE_RATE,
  rise_db: float | int = 6.0,
) -> Float[np.ndarray, "k"]:
  """Times at which a sound sets in, s: where energy rises fast.

  The level of 5 ms frames, never taken below -60 dB of full scale, is compared
  with the level 20 ms earlier. Onsets are peaks of the rise, 50 ms or more
  apart. For editing and drawing; the published onset metrics use librosa's.

  Args:
    wave: samples by channels, full scale +-1.
    rate: samples per second.
    rise_db: the smallest rise that counts.
  """
  if not len(wave):
    return np.zeros(0)
  edges = _frame_edges(len(wave), 0.005 * rate)
  power = loudness_lib.mean_square(wave, edges[:-1], edges[1:]).mean(axis=1)
  level = 10 * np.log10(np.maximum(power, 1e-6))
  lag = 4
  # Before the first sample there is silence: a wave may begin with an onset.
  # After the last, the level holds: find_peaks sees no peak at an end.
  level = np.pad(level, (0, lag + 1), mode="edge")
  level = np.pad(level, (lag + 1, 0), constant_values=-60.0)
  rise = level[lag:] - level[:-lag]
  step = np.diff(level)
  peaks, _ = scipy.signal.find_peaks(rise, height=rise_db, distance=10)
  # Within the 20 ms that the rise spans, the steepest frame is the onset.
  spans = peaks[:, None] + np.arange(lag)[None]
  steepest = spans[np.arange(len(peaks)), step[spans].argmax(axis=1)]
  return np.unique(edges[np.clip(steepest - lag, 0, None)]) / rate


def to_json(events: Events) -> list[list[float]]:
  """[[start, end], ..]."""
  return events.intervals.tolist()


def from_json(value: Any, *, where: str, duration: float) -> Events:
  """Inverse of `to_json`.

  Raises:
    InputError: not sorted, disjoint intervals within 0..duration.
  """
  pairs = document.sequence(value, where)
  intervals = np.zeros((len(pairs), 2))
  for i, pair in enumerate(pairs):
    here = f"{where}[{i}]"
    start, end = document.table(
      pair, here, shape=(2,), low=0.0, high=duration, unit=" s"
    ).tolist()
    if end < start:
      raise InputError(here, f"ends before it starts ({end} < {start})")
    if end == start:
      raise InputError(here, f"has no length (starts and ends at {start})")
    if i and start < intervals[i - 1, 1]:
      raise InputError(
        here,
        "begins before the event before it ends "
        f"({start} < {intervals[i - 1, 1].item()})",
      )
    intervals[i] = start, end
  return Events(intervals=intervals)


def _frame_edges(length: int, size: float) -> np.ndarray:
  """Sample indices that cut `length` samples into frames of about `size`."""
  count = max(1, int(np.ceil(length / size - 1e-6)))
  return np.minimum(np.round(np.arange(count + 1) * size), length).astype(int)


def _runs(active: Bool[np.ndarray, "n"]) -> np.ndarray:
  """First index of each run of True, and the index after its last."""
  change = np.diff(active.astype(np.int8), prepend=0, append=0)
  return np.stack(
    [np.flatnonzero(change == 1), np.flatnonzero(change == -1)], axis=1
  )
