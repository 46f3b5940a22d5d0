"""Interaural cues at known delays and gains."""

import numpy as np
import pytest
import scipy.signal

from vta.metrics import stereo

RATE = 44_100


def _delayed(samples, *, gain_db=0.0, seconds=1.0, seed=0, above=0.0):
  """Band-limited noise; the left channel is late by `samples`, maybe broken."""
  rng = np.random.default_rng(seed)
  low = scipy.signal.butter(4, 8_000, fs=RATE, output="sos")
  mono = 0.1 * scipy.signal.sosfilt(low, rng.normal(size=int(seconds * RATE)))
  turn = np.exp(-2j * np.pi * np.fft.rfftfreq(len(mono)) * samples)
  left = np.fft.irfft(np.fft.rfft(mono) * turn, len(mono))
  wave = np.stack([left, mono * 10 ** (gain_db / 20)], axis=1)
  return (wave + above * rng.normal(size=wave.shape)).astype(np.float32)


@pytest.mark.parametrize("samples", [-30, -3, 0, 5.5, 40])
def test_time_differences_are_the_delay(samples):
  found = stereo.time_differences(_delayed(samples, gain_db=7.0, above=1e-3))
  assert len(found) == 6
  # To the grid of a quarter of a sample.
  np.testing.assert_allclose(found, 1000 * samples / RATE, atol=125 / RATE)


def test_sides_have_a_sign_and_silence_has_none():
  assert (stereo.time_differences(_delayed(10)) > 0).all()
  np.testing.assert_array_equal(stereo.time_differences(np.zeros((RATE, 2))), 0)


def test_errors_are_the_differences_of_delays_and_of_gains():
  truth = _delayed(4, gain_db=3.0)
  made = _delayed(-8, gain_db=-2.0, seed=1)
  ours = stereo.interaural_error(truth, made)
  assert ours.blocks == 6
  assert ours.time == pytest.approx(1000 * 12 / RATE, abs=250 / RATE)
  assert ours.level == pytest.approx(5.0, abs=0.05)
  same = stereo.interaural_error(truth, truth)
  assert (same.time, same.level) == (0.0, 0.0)


def test_the_truths_silence_does_not_count_and_loud_blocks_count_more():
  truth = _delayed(0, gain_db=6.0)
  truth[RATE // 2 :] *= 0.1
  made = truth.copy()
  made[: RATE // 2] = made[: RATE // 2, ::-1]
  ours = stereo.interaural_error(truth, made)
  assert ours.level == pytest.approx(12.0 / 1.01, abs=0.05)
  truth[RATE // 2 :] = 0
  assert stereo.interaural_error(truth, made).blocks == 3
  nothing = stereo.interaural_error(np.zeros_like(truth), made)
  assert nothing.blocks == 0
  assert np.isnan([nothing.time, nothing.level]).all()


def test_what_is_missing_counts_as_centred():
  truth = _delayed(10, gain_db=6.0)
  for made in (np.zeros_like(truth), np.zeros((1, 2), np.float32)):
    ours = stereo.interaural_error(truth, made)
    assert ours.time == pytest.approx(10_000 / RATE, abs=125 / RATE)
    assert ours.level == pytest.approx(6.0, abs=0.05)
