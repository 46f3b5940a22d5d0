"""Events against loops, scipy.ndimage and sounds placed by hand."""

import numpy as np
import pytest
import scipy.ndimage

from vta.signals import events, timing

RATE = 16_000


def make(*intervals):
  return events.Events(intervals=np.array(intervals, float).reshape(-1, 2))


def assert_intervals(got, *want, tolerance=1e-9):
  np.testing.assert_allclose(
    got.intervals, make(*want).intervals, rtol=0, atol=tolerance
  )


def bursts(intervals, seconds=2.0, level=0.1, rate=RATE):
  wave = np.random.default_rng(0).normal(size=(int(seconds * rate), 2))
  time = np.arange(len(wave)) / rate
  active = np.any([(a <= time) & (time < b) for a, b in intervals], axis=0)
  return (wave * active[:, None] * level).astype(np.float32)


def test_from_wave_finds_what_was_placed():
  placed = [(0.0, 0.1), (0.3, 0.55), (1.2, 2.0)]
  assert_intervals(events.from_wave(bursts(placed), rate=RATE), *placed)


def test_from_wave_merges_within_20_ms_and_drops_blips():
  wave = bursts([(0.1, 0.2), (0.22, 0.3), (0.33, 0.4), (0.6, 0.61)])
  got = events.from_wave(wave, rate=RATE)
  assert_intervals(got, (0.1, 0.3), (0.33, 0.4))
  kept = events.from_wave(wave, rate=RATE, min_length=0.01)
  assert_intervals(kept, (0.1, 0.3), (0.33, 0.4), (0.6, 0.61))


def test_from_wave_is_a_loop_over_frames():
  rng = np.random.default_rng(1)
  levels = rng.choice([0.0, 0.3, 0.001], size=200, p=[0.3, 0.4, 0.3])
  wave = np.repeat(levels, 160)[:, None] * np.ones((1, 1))
  active = levels > 0.01
  # Closing by one frame each side is merging gaps of up to two frames.
  closed = scipy.ndimage.binary_closing(
    np.pad(active, 4), structure=np.ones(3)
  )[4:-4]
  labels, count = scipy.ndimage.label(closed)
  want = []
  for (piece,) in scipy.ndimage.find_objects(labels)[:count]:
    if piece.stop - piece.start >= 2:
      want.append((piece.start / 100, piece.stop / 100))
  assert len(want) > 10
  assert_intervals(events.from_wave(wave, rate=RATE), *want)


def test_thresholds():
  wave = bursts([(0.5, 1.0)], level=0.003)
  assert_intervals(events.from_wave(wave, rate=RATE))
  assert_intervals(
    events.from_wave(wave, rate=RATE, threshold_db=None), (0.5, 1.0)
  )
  assert_intervals(
    events.from_wave(wave, rate=RATE, threshold_db=-60), (0.5, 1)
  )
  for silence in (np.zeros((1000, 2), np.float32), np.zeros((0, 2))):
    assert_intervals(events.from_wave(silence, threshold_db=None))


def test_panning_does_not_change_events():
  mono = bursts([(0.2, 0.6)], level=0.0125)[:, :1]
  for angle in np.linspace(0, np.pi / 2, 5):
    wave = mono * np.array([[np.cos(angle), np.sin(angle)]], np.float32)
    assert_intervals(
      events.from_wave(wave, rate=RATE, threshold_db=-43), (0.2, 0.6)
    )


@pytest.mark.parametrize("rate", [15, 21.5332])
def test_binary_round_trip(rate):
  rng = np.random.default_rng(2)
  times = timing.centres(150, rate)
  vector = (rng.random(150) > 0.5).astype(np.float32)
  found = events.from_binary(vector, times)
  np.testing.assert_array_equal(events.to_binary(found, times), vector)
  # Each 1 is one bin of 1 / rate.
  total = np.diff(found.intervals).sum()
  np.testing.assert_allclose(total, vector.sum() / rate)


def test_from_binary_at_uneven_stamps():
  times = np.array([0.0, 1.0, 1.5, 4.0])
  vector = np.array([True, True, False, True])
  assert_intervals(events.from_binary(vector, times), (0, 1.25), (2.75, 5.25))
  assert_intervals(
    events.from_binary(vector, times, duration=5), (0, 1.25), (2.75, 5)
  )
  one = np.array([0.0])
  assert_intervals(events.from_binary(np.array([1]), one, duration=3), (0, 3))
  with pytest.raises(ValueError, match="spans no time"):
    events.from_binary(np.array([1]), one)


def test_from_binary_merges():
  times = timing.centres(6, 100)
  vector = np.array([1, 0, 0, 1, 0, 0])
  assert_intervals(events.from_binary(vector, times), (0, 0.04))
  apart = events.from_binary(vector, times, merge_gap=0.01)
  assert_intervals(apart, (0, 0.01), (0.03, 0.04))


def test_to_binary_is_a_loop_over_intervals():
  rng = np.random.default_rng(3)
  some = events.Events(intervals=np.sort(rng.uniform(0, 10, 20)).reshape(10, 2))
  times = np.concatenate([rng.uniform(0, 10, 500), some.intervals.ravel()])
  want = [any(a <= t < b for a, b in some.intervals) for t in times]
  np.testing.assert_array_equal(events.to_binary(some, times), want)
  np.testing.assert_array_equal(events.to_binary(make(), times), 0.0)


def test_merged_is_the_union():
  rng = np.random.default_rng(4)
  starts = rng.uniform(0, 9, 12)
  pieces = np.stack([starts, starts + rng.uniform(0.01, 0.8, 12)], axis=1)
  got = events.merged(pieces)
  times = rng.uniform(0, 10, 2000)
  want = [any(a <= t < b for a, b in pieces) for t in times]
  np.testing.assert_array_equal(events.to_binary(got, times), want)
  # A long one that swallows the next, and a gap measured from the long one.
  assert_intervals(
    events.merged(np.array([[3.0, 3.2], [0, 2], [0.5, 1], [2.5, 3]]), gap=0.5),
    (0, 3.2),
  )


def test_edits():
  some = make((1, 2), (3, 5), (8, 9.5))
  assert_intervals(some.crop(1.5, 8.5), (0, 0.5), (1.5, 3.5), (6.5, 7))
  assert_intervals(some.crop(5, 8))
  assert_intervals(some.shift(1, duration=10), (2, 3), (4, 6), (9, 10))
  assert_intervals(some.shift(-2.5, duration=10), (0.5, 2.5), (5.5, 7))
  assert_intervals(some.stretch(0.5), (0.5, 1), (1.5, 2.5), (4, 4.75))
  assert_intervals(some.merge(make((2.01, 3.5))), (1, 5), (8, 9.5))
  assert_intervals(some.erase(1.25, 4), (1, 1.25), (4, 5), (8, 9.5))
  assert_intervals(some.erase(0, 10))
  assert some == make((1, 2), (3, 5), (8, 9.5))
  assert some != make((1, 2), (3, 5))


@pytest.mark.parametrize(
  "intervals", [[[1, 1]], [[2, 1]], [[0, 2], [1, 3]], [[3, 4], [0, 1]]]
)
def test_disorder_is_refused(intervals):
  with pytest.raises(ValueError, match="sorted and disjoint"):
    make(*intervals)


@pytest.mark.parametrize("rate", [16_000, 44_100])
def test_onsets_of_strikes(rate):
  rng = np.random.default_rng(5)
  struck = np.array([0.0, 0.25, 0.4, 0.9, 1.33, 1.99])
  time = np.arange(2 * rate) / rate
  wave = np.zeros((2 * rate, 2))
  for onset in struck:
    after = time >= onset
    decay = np.exp(-(time[after] - onset) / 0.03)
    wave[after] += rng.normal(size=(after.sum(), 2)) * decay[:, None] * 0.2
  got = events.onsets(wave.astype(np.float32), rate=rate)
  # A frame is 5 ms, and a strike late in one shows in the next.
  np.testing.assert_allclose(got, struck, atol=0.0051)


def test_steady_and_silent_sounds_have_no_onsets():
  assert not events.onsets(np.zeros((RATE, 2), np.float32), rate=RATE).size
  assert not events.onsets(np.zeros((0, 2), np.float32)).size
  steady = bursts([(0, 2)])
  np.testing.assert_array_equal(events.onsets(steady, rate=RATE), [0.0])
