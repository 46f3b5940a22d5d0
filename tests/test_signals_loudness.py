"""Loudness against pyloudnorm, BS.1770's anchor and loops over samples."""

import dataclasses

import numpy as np
import pyloudnorm
import pytest

from vta.errors import InputError
from vta.signals import loudness, timing

RATES = [44_100, 48_000, 16_000]


def noise(seed, seconds, rate=44_100, level=0.1):
  rng = np.random.default_rng(seed)
  envelope = np.interp(
    np.arange(int(seconds * rate)), [0, seconds * rate], [0.02, 1.0]
  )
  wave = rng.normal(size=(len(envelope), 2)) * envelope[:, None] * level
  return (wave * [1.0, 0.3]).astype(np.float32)


def curve(count=5):
  rng = np.random.default_rng(3)
  times = np.sort(rng.uniform(0, 10, count))
  return loudness.Loudness(times=times, lufs=rng.uniform(-60, -10, (count, 2)))


@pytest.mark.parametrize("rate", RATES)
def test_k_weight_is_pyloudnorms(rate):
  wave = np.random.default_rng(rate).normal(size=(rate, 2))
  want = wave
  for stage in pyloudnorm.Meter(rate)._filters.values():
    want = np.stack([stage.apply_filter(c) for c in want.T], axis=1)
  got = loudness.k_weight(wave, rate=rate)
  assert np.abs(got - want).max() <= 1e-9 * np.abs(want).max()


@pytest.mark.parametrize("rate", RATES)
def test_k_weighting_gain_is_what_a_sine_gains(rate):
  frequencies = np.array([20.0, 60.0, 997.0, 2000.0, 7000.0])
  time = np.arange(2 * rate)[:, None] / rate
  weighted = loudness.k_weight(
    np.sin(2 * np.pi * frequencies * time), rate=rate
  )
  want = np.sqrt(2 * np.square(weighted[rate:]).mean(axis=0))
  got = loudness.k_weighting_gain(frequencies, rate=rate)
  np.testing.assert_allclose(got, want, rtol=1e-3)


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("channel", [0, 1])
def test_blocks_are_pyloudnorms(rate, channel):
  wave = noise(rate, 4.0, rate)
  # Every fourth of its blocks, which overlap by 75 %, is one of ours. Its
  # edges are truncated floats: a block may be one sample off, 3e-4 dB.
  meter = pyloudnorm.Meter(rate, block_size=0.4)
  meter.integrated_loudness(wave[:, channel].astype(np.float64))
  want = np.array(meter.blockwise_loudness)[::4]
  got = loudness.momentary(wave, rate=rate, block=0.4)
  assert len(want) == 10
  np.testing.assert_allclose(got.lufs[:, channel], want, rtol=0, atol=1e-3)
  np.testing.assert_allclose(got.times, timing.centres(10, 2.5), atol=1e-9)


def test_a_full_scale_sine_is_minus_three():
  # BS.1770-4: 0 dBFS at 997 Hz in one channel reads -3.01 LKFS.
  time = np.arange(48_000) / 48_000
  wave = np.zeros((48_000, 2), np.float32)
  wave[:, 0] = np.sin(2 * np.pi * 997 * time)
  got = loudness.momentary(wave, rate=48_000).lufs[1:]
  np.testing.assert_allclose(got[:, 0], -3.01, atol=0.1)
  np.testing.assert_array_equal(got[:, 1], loudness.FLOOR)


@pytest.mark.parametrize("rate", [44_100, 22_050, 16_000])
def test_momentary_has_six_blocks_a_second(rate):
  got = loudness.momentary(noise(0, 10.0, rate), rate=rate)
  np.testing.assert_allclose(got.times, timing.centres(60, 6), atol=1 / rate)


@pytest.mark.parametrize(
  ("samples", "blocks"),
  [(1, 1), (1_000, 1), (7_350, 1), (9_187, 1), (9_188, 2), (14_700, 2)],
)
def test_a_rest_of_a_quarter_block_counts(samples, blocks):
  wave = noise(1, 1.0)[-samples:]
  got = loudness.momentary(wave)
  assert len(got.times) == blocks
  rest = min(samples, blocks * 7_350) - (blocks - 1) * 7_350
  weighted = loudness.k_weight(wave)[(blocks - 1) * 7_350 :][:rest]
  want = -0.691 + 10 * np.log10(np.mean(weighted**2, axis=0))
  np.testing.assert_allclose(got.lufs[-1], want, atol=1e-6)


def test_momentary_is_clipped():
  quiet = loudness.momentary(np.zeros((44_100, 2), np.float32))
  np.testing.assert_array_equal(quiet.lufs, -70.0)
  loud = loudness.momentary(noise(0, 1.0, level=100))
  np.testing.assert_array_equal(loud.lufs[3:], 0.0)
  with pytest.raises(ValueError, match="without samples"):
    loudness.momentary(np.zeros((0, 2), np.float32))


def test_mean_square_of_overlapping_spans():
  wave = noise(2, 0.1)
  starts = np.array([0, 10, 4_000])
  ends = np.array([100, 4_410, 4_410])
  got = loudness.mean_square(wave, starts, ends)
  want = [
    np.mean(wave[a:b].astype(np.float64) ** 2, axis=0)
    for a, b in zip(starts, ends, strict=True)
  ]
  np.testing.assert_allclose(got, want, rtol=1e-12)


def test_unit_maps_floor_to_zero():
  lufs = np.array([-70.0, -35.0, 0.0])
  np.testing.assert_allclose(loudness.unit(lufs), [0, 0.5, 1])
  np.testing.assert_allclose(loudness.from_unit(loudness.unit(lufs)), lufs)


def test_gain_moves_sound_and_leaves_silence():
  before = loudness.Loudness(
    times=np.array([0.0, 1.0]), lufs=np.array([[-70.0, -20.0], [-2.0, -68.0]])
  )
  np.testing.assert_array_equal(before.gain(6).lufs, [[-70, -14], [0, -62]])
  np.testing.assert_array_equal(before.gain(-6).lufs, [[-70, -26], [-8, -70]])


def test_gain_in_the_wave_is_gain_in_the_curve():
  wave = noise(5, 2.0)
  np.testing.assert_allclose(
    loudness.momentary(wave * np.float32(0.5)).lufs,
    loudness.momentary(wave).gain(20 * np.log10(0.5)).lufs,
    atol=1e-4,
  )


def test_resample_crop_shift_and_stretch_keep_the_curve():
  one = curve()
  at = np.sort(np.random.default_rng(0).uniform(0, 10, 200))
  want = one.resample(at).lufs
  for channel in (0, 1):
    np.testing.assert_allclose(
      want[:, channel], np.interp(at, one.times, one.lufs[:, channel])
    )
  cropped = one.crop(2, 8)
  assert cropped.times[0] == 0
  assert cropped.times[-1] == 6
  inside = (at > 2) & (at < 8)
  np.testing.assert_allclose(
    cropped.resample(at[inside] - 2).lufs, want[inside]
  )
  for seconds in (1.5, -1.5, 20):
    moved = one.shift(seconds, duration=10)
    assert moved.times[0] == 0
    assert moved.times[-1] == 10
    np.testing.assert_allclose(
      moved.resample(at).lufs, one.resample(at - seconds).lufs
    )
  np.testing.assert_allclose(one.stretch(2).resample(at * 2).lufs, want)


def test_line_is_drawn_on_what_it_covers():
  one = curve(40)
  drawn = one.line((2, -50), (6, -20), channel=1)
  at = np.linspace(2, 6, 50)
  np.testing.assert_allclose(
    drawn.resample(at).lufs[:, 1], np.interp(at, [2, 6], [-50, -20])
  )
  everywhere = np.sort(np.random.default_rng(0).uniform(0, 10, 200))
  np.testing.assert_allclose(
    drawn.resample(everywhere).lufs[:, 0], one.resample(everywhere).lufs[:, 0]
  )
  after = one.times[one.times > 6]
  np.testing.assert_allclose(
    drawn.resample(after).lufs, one.resample(after).lufs
  )
  both = one.line((2, -90), (6, 10)).resample(np.array([2.0, 6.0]))
  np.testing.assert_array_equal(both.lufs, [[-70, -70], [0, 0]])
  with pytest.raises(ValueError, match="backwards"):
    one.line((6, 0), (2, 0))


def test_merge_adds_powers():
  times = np.array([0.0, 1.0])
  one = loudness.Loudness(times=times, lufs=np.full((2, 2), -30.0))
  silent = loudness.Loudness(times=times, lufs=np.full((2, 2), -70.0))
  # Twice the power is 3.01 dB.
  np.testing.assert_allclose(one.merge(one).lufs, -26.9897, atol=1e-4)
  np.testing.assert_allclose(one.merge(silent).lufs, -30.0)
  np.testing.assert_array_equal(silent.merge(silent).lufs, -70.0)


def test_loudness_of_two_sounds_is_the_merged_loudness():
  rng = np.random.default_rng(6)
  one, two = rng.normal(size=(2, 44_100 * 4, 2)) * 0.05
  merged = loudness.momentary(one).merge(loudness.momentary(two))
  # Independent noises add in power up to their chance correlation.
  np.testing.assert_allclose(
    loudness.momentary(one + two).lufs, merged.lufs, atol=0.5
  )


def test_equality_is_by_value():
  assert curve() == curve()
  assert curve() != curve().gain(1)
  assert curve() != dataclasses.replace(curve(), times=curve().times + 1)


def test_json_is_exact_and_strict():
  one = curve(100)
  value = loudness.to_json(one)
  assert loudness.from_json(value, where="x", duration=10.0) == one
  value["lufs"][2][1] = 0.5
  with pytest.raises(InputError, match=r"x\.lufs\[2\]\[1\]: must lie"):
    loudness.from_json(value, where="x", duration=10.0)
