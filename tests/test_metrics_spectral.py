"""Spectral distances against auraloss and SciPy; sources at known gains."""

import auraloss
import numpy as np
import pytest
import scipy.signal
import torch

from vta.metrics import spectral

RATE = 44_100


def _noise(seconds=1.0, seed=0, band=None):
  rng = np.random.default_rng(seed)
  wave = rng.standard_normal((int(seconds * RATE), 2))
  if band:
    filters = scipy.signal.butter(4, band, "bandpass", fs=RATE, output="sos")
    wave = scipy.signal.sosfilt(filters, wave, axis=0)
    wave /= wave.std()
  return (0.1 * wave).astype(np.float32)


def test_multi_resolution_equals_auraloss():
  truth, found = _noise(0.5, 0), _noise(0.5, 1, band=(300, 6000))
  loss = auraloss.freq.MultiResolutionSTFTLoss()
  theirs = [
    loss(torch.tensor(y)[None, None], torch.tensor(x)[None, None]).item()
    for x, y in zip(truth.T, found.T, strict=True)
  ]
  ours = spectral.multi_resolution_distance(truth, found)
  assert ours == pytest.approx(np.mean(theirs), rel=1e-4)


def test_log_spectral_distance_equals_scipy():
  truth, found = _noise(0.5, 0), _noise(0.5, 1)
  values = []
  for x, y in zip(truth.T, found.T, strict=True):
    pair = []
    for one in (x, y):
      padded = np.pad(one.astype(np.float64), 1024, mode="reflect")
      _, _, s = scipy.signal.stft(
        padded, nperseg=2048, noverlap=1536, boundary=None, padded=False
      )
      # SciPy divides by the window's sum.
      power = np.abs(s * scipy.signal.get_window("hann", 2048).sum()) ** 2
      pair.append(10 * np.log10(np.maximum(power, 1e-8)))
    values.append(np.sqrt(((pair[0] - pair[1]) ** 2).mean(axis=0)).mean())
  ours = spectral.log_spectral_distance(truth, found)
  assert ours == pytest.approx(np.mean(values), rel=1e-9)


def test_log_spectral_distance_of_a_gain_is_the_gain():
  wave = _noise()
  half = (0.5 * wave).astype(np.float32)
  assert spectral.log_spectral_distance(wave, half) == pytest.approx(
    6.0206, abs=1e-3
  )


@pytest.mark.parametrize(
  "distance",
  [spectral.log_spectral_distance, spectral.multi_resolution_distance],
)
def test_distances_grow_with_the_damage(distance):
  wave = _noise(0.5, 0, band=(200, 3000))
  noise = _noise(0.5, 1)
  values = [
    distance(wave, (wave + a * noise).astype(np.float32))
    for a in (0.0, 0.01, 0.1, 1.0)
  ]
  assert values[0] == 0
  assert np.all(np.diff(values) > 0.05)
  with pytest.raises(ValueError, match="differ"):
    distance(wave, wave[:-1])


BANDS = [(100, 600), (1500, 4000), (300, 2500)]


def _stems(count=3, seed=0):
  return np.stack([_noise(2.0, seed + k, band=BANDS[k]) for k in range(count)])


@pytest.mark.parametrize("gain_db", [-20.0, -6.0, 0.0, 12.0])
def test_a_source_is_weighed_in_a_new_performance(gain_db):
  stems = _stems(2)
  again = _stems(2, seed=10)
  gains = 10 ** (np.array([gain_db, 0.0]) / 20)
  mix = np.einsum("k,ktc->tc", gains, again).astype(np.float32)
  ours = spectral.source_energies(stems, mix)
  assert ours.ratio_db(0, 1) == pytest.approx(gain_db, abs=1.5)
  assert ours.ratio_db(1, 0) == pytest.approx(-ours.ratio_db(0, 1))
  assert ours.explained > 0.5
  assert ours.overlap < 0.1


def test_energy_is_the_power_of_the_source():
  stems = _stems(2)
  one = spectral.source_energies(stems, stems[0]).energy
  louder = spectral.source_energies(stems, (2 * stems[0]).astype("float32"))
  np.testing.assert_allclose(louder.energy[0], 4 * one[0], rtol=1e-5)
  assert one[1] < 0.02 * one[0]
  # How loud the true stem is does not matter, only its envelope.
  soft = (stems * np.array([1.0, 0.01])[:, None, None]).astype("float32")
  mix = stems[0] + stems[1]
  np.testing.assert_allclose(
    spectral.source_energies(soft, mix).energy,
    spectral.source_energies(stems, mix).energy,
    rtol=1e-4,
  )


def test_silent_and_equal_sources():
  stems = _stems(2)
  silent = spectral.source_energies(stems, np.zeros((RATE, 2), np.float32))
  assert not silent.energy.any()
  assert np.isnan(silent.explained)
  assert silent.ratio_db(0, 1) == 0.0
  twice = spectral.source_energies(stems[[0, 0]], stems[0])
  assert twice.overlap == pytest.approx(1.0)
  muted = np.stack([stems[0], 0 * stems[1]])
  assert spectral.source_energies(muted, stems[1]).energy[1] == 0


def test_overlapping_sources_fall_in_order():
  stems, again = _stems(3), _stems(3, seed=20)
  ratios = []
  for gain in (1.0, 0.5, 0.1, 0.0):
    mix = again[0] + gain * again[2]
    ours = spectral.source_energies(stems, mix.astype(np.float32))
    ratios.append(ours.ratio_db(2, 0))
  assert np.all(np.diff(ratios) < -1)


def test_band_levels_of_a_sine_of_half_scale_left():
  """-6 dB in its band; a second of silence after it is at the floor."""
  seconds = np.arange(44_100 * 2) / 44_100
  wave = np.zeros((len(seconds), 2))
  wave[:44_100, 0] = 0.5 * np.sin(2 * np.pi * 1000.0 * seconds[:44_100])
  levels = spectral.band_levels(wave, seconds=0.4)
  assert levels.shape == (5, 40)
  total = 10 * np.log10((10 ** (levels[0] / 10)).sum())
  assert total == pytest.approx(-6.02, abs=0.05)
  np.testing.assert_allclose(levels[-1], -60.0)
  whole = spectral.band_levels(wave)
  assert whole.shape == (1, 40)
  assert whole.max() == pytest.approx(levels.max() - 3.0, abs=0.3)
