"""Loudness, peaks and sides against pyloudnorm, SciPy and known answers."""

import numpy as np
import pyloudnorm
import pytest
import scipy.signal
import scipy.stats

from vta.metrics import loudness, stereo
from vta.signals import loudness as signal
from vta.signals import timing

RATE = 44_100


def _curve(lufs):
  lufs = np.asarray(lufs, np.float64)
  return signal.Loudness(times=timing.centres(len(lufs), 6), lufs=lufs)


def _noise(seconds=3.0, seed=0):
  rng = np.random.default_rng(seed)
  return (0.1 * rng.standard_normal((int(seconds * RATE), 2))).astype("float32")


def test_error_and_correlation_by_channel():
  rng = np.random.default_rng(0)
  wanted = rng.uniform(-110, -10, (40, 2)).clip(-70)
  got = rng.uniform(-110, -10, (40, 2)).clip(-70)
  ours = loudness.compare(_curve(wanted), _curve(got))
  for c in range(2):
    here = (wanted[:, c] > -60) | (got[:, c] > -60)
    x, y = wanted[here, c], got[here, c]
    assert ours.blocks[c] == here.sum() < 40
    assert ours.error[c] == pytest.approx(np.abs(x - y).mean())
    assert ours.correlation[c] == pytest.approx(scipy.stats.pearsonr(x, y)[0])


def test_a_gain_is_the_error_that_pyloudnorm_hears():
  wave = _noise()
  soft = (wave * 0.5).astype(np.float32)
  meter = pyloudnorm.Meter(RATE)
  heard = meter.integrated_loudness(wave) - meter.integrated_loudness(soft)
  ours = loudness.compare(signal.momentary(wave), signal.momentary(soft))
  np.testing.assert_allclose(ours.error, heard, atol=0.02)
  np.testing.assert_allclose(ours.correlation, 1.0, atol=1e-6)


def test_integrated_loudness_is_pyloudnorms():
  rng = np.random.default_rng(3)
  # Loud, 30 LU below (the relative gate), silent (the absolute gate).
  gain = np.repeat([0.3, 0.01, 0.0, 0.2], RATE)[: int(3.7 * RATE)]
  wave = (
    gain[:, None] * rng.normal(size=(len(gain), 2)) * [[0.5, 0.1]]
  ).astype(np.float32)
  heard = pyloudnorm.Meter(RATE).integrated_loudness(wave.astype(np.float64))
  assert loudness.integrated(wave) == pytest.approx(heard, abs=1e-3)
  ungated = np.mean(np.square(signal.k_weight(wave, rate=RATE)).sum(axis=1))
  assert heard > -0.691 + 10 * np.log10(ungated) + 1.0
  assert loudness.integrated(np.zeros_like(wave)) == -np.inf
  for seconds in (0.002, 0.35, 0.399):
    assert loudness.integrated(wave[: int(seconds * RATE)]) == -np.inf


def test_error_grows_with_the_damage():
  wave = _noise()
  truth = signal.momentary(wave)
  errors = [
    loudness.compare(
      truth, signal.momentary((wave * g).astype(np.float32))
    ).error[0]
    for g in (1.0, 0.8, 0.4, 0.1, 0.0)
  ]
  assert errors[0] == 0
  assert np.all(np.diff(errors) > 1)


def test_shared_silence_is_not_measured():
  ours = loudness.compare(
    _curve(np.full((6, 2), -65.0)), _curve([[-70.0] * 2] * 6)
  )
  assert ours.blocks == (0, 0)
  assert np.isnan(ours.error).all()
  assert np.isnan(ours.correlation).all()


def test_one_channel_does_not_touch_the_other():
  wanted = np.full((6, 2), -20.0)
  got = wanted - [[0.0, 7.0]]
  np.testing.assert_allclose(
    loudness.compare(_curve(wanted), _curve(got)).error, [0, 7]
  )


def test_silence_rate():
  curve = _curve([[-70, -70], [-20, -70], [-61, -60], [-70, -59]])
  assert loudness.silence_rate(curve) == 0.5


def test_true_peak_finds_what_samples_miss():
  t = np.arange(RATE)
  # A quarter of the rate, 45 degrees off: samples reach only sqrt(1/2).
  wave = np.sin(np.pi / 2 * t + np.pi / 4) * np.hanning(RATE)
  wave = np.stack([wave, 0.1 * wave], axis=1).astype(np.float32)
  assert np.abs(wave).max() < 0.708
  assert loudness.true_peak(wave) == pytest.approx(0.0, abs=0.05)


def test_true_peak_equals_scipy_on_noise():
  # The two filters differ near the Nyquist frequency: no noise there.
  low_pass = scipy.signal.butter(8, 12_000, fs=RATE, output="sos")
  wave = scipy.signal.sosfilt(low_pass, _noise(1.0), axis=0)
  wave = wave.astype(np.float32)
  wave *= np.hanning(len(wave))[:, None].astype(np.float32)
  dense = scipy.signal.resample_poly(
    wave.astype(np.float64), 4, 1, window=("kaiser", 12.0)
  )
  expected = 20 * np.log10(np.abs(dense).max())
  assert loudness.true_peak(wave) == pytest.approx(expected, abs=0.1)
  louder = loudness.true_peak((2 * wave).astype(np.float32))
  assert louder - loudness.true_peak(wave) == pytest.approx(6.0206, abs=1e-3)


def test_true_peak_of_nothing():
  assert loudness.true_peak(np.zeros((100, 2), np.float32)) == -np.inf
  with pytest.raises(ValueError, match="no peak"):
    loudness.true_peak(np.zeros((0, 2), np.float32))


def _panned(position, seed=0, seconds=2.0):
  """Equal power, -1 left to 1 right."""
  angle = (position + 1) * np.pi / 4
  mono = _noise(seconds, seed)[:, :1]
  return (mono * np.array([[np.cos(angle), np.sin(angle)]])).astype("float32")


def test_sides():
  right, left = _panned(0.6), _panned(-0.6, seed=1)
  assert stereo.pan_sign(right, _panned(0.2, seed=2)).accuracy == 1.0
  assert stereo.pan_sign(right, left).accuracy == 0.0
  assert stereo.pan_sign(right, np.zeros_like(right)).accuracy == 0.0
  centred = stereo.pan_sign(_panned(0.0), right)
  assert np.isnan(centred.accuracy)
  assert centred.blocks == 0


def test_blocks_weigh_as_their_energy():
  loud, soft = _panned(0.8), (0.1 * _panned(0.8)).astype(np.float32)
  truth = np.concatenate([loud, soft])
  found = np.concatenate([loud, _panned(-0.8, seed=1)])
  ours = stereo.pan_sign(truth, found)
  assert ours.blocks == 24
  assert ours.accuracy == pytest.approx(1 / 1.01, abs=1e-3)
  # A sound that stops halfway is wrong from there on.
  cut = stereo.pan_sign(np.concatenate([loud, loud]), loud)
  assert cut.accuracy == pytest.approx(0.5, abs=0.01)


def _tones(levels, seconds=20.0):
  """A 1 kHz sine in both channels at these levels, dB of full scale."""
  at = np.arange(int(seconds * RATE)) / RATE
  gains = 10 ** (np.asarray(levels) / 20)
  tone = np.sin(2 * np.pi * 1000 * at)
  wave = np.concatenate([gain * tone for gain in gains])
  return np.repeat(wave[:, None], 2, axis=1)


@pytest.mark.parametrize(
  ("levels", "expected"),
  [
    ((-20, -30), 10),
    ((-20, -15), 5),
    ((-40, -20), 20),
    ((-50, -35, -20, -35, -50), 15),
  ],
)
def test_loudness_range_of_tech_3342s_own_signals(levels, expected):
  """Its table 1, cases 1 to 4: within 1 LU."""
  assert loudness.loudness_range(_tones(levels)) == pytest.approx(
    expected, abs=1.0
  )


def test_loudness_range_is_pyloudnorms():
  rng = np.random.default_rng(5)
  # Slow swells, so that the grid of blocks (0.1 s, theirs 0.09 s) is no matter.
  at = np.arange(20 * RATE) / RATE
  gain = 10 ** ((-30 + 12 * np.sin(2 * np.pi * at / 13)) / 20)
  wave = gain[:, None] * rng.normal(size=(len(at), 2)) * [1.0, 0.3]
  heard = pyloudnorm.Meter(RATE).loudness_range(wave)
  # They append 1.5 s of silence, which half of a short last block hears.
  padded = np.concatenate([wave, np.zeros((int(1.5 * RATE), 2))])
  assert heard > 10
  assert loudness.loudness_range(padded) == pytest.approx(heard, abs=0.1)


def test_loudness_range_without_anything_to_range_over():
  assert loudness.loudness_range(_tones([-20], 5.0)) == pytest.approx(
    0, abs=0.1
  )
  for wave in (np.zeros((4 * RATE, 2)), _tones([-20], 2.9)):
    assert np.isnan(loudness.loudness_range(wave))


@pytest.mark.parametrize(
  ("share", "degrees", "amplitude", "expected"),
  [
    (4, 0, 0.5, -6.0),
    (4, 45, 0.5, -6.0),
    (6, 60, 0.5, -6.0),
    (8, 67.5, 0.5, -6.0),
    (4, 45, 1.41, 3.0),
  ],
)
def test_true_peak_of_tech_3341s_own_signals(
  share, degrees, amplitude, expected
):
  """Its cases 15 to 19, sines of rate / share: within +0.2 and -0.4 dB."""
  phase = 2 * np.pi * np.arange(RATE) / share + np.deg2rad(degrees)
  # Faded in and out: the step of a cut sine rings above its peak.
  wave = amplitude * np.sin(phase) * scipy.signal.windows.tukey(RATE, 0.1)
  peak = loudness.true_peak(np.stack([wave, wave], axis=1))
  assert -0.4 <= peak - expected <= 0.2
