"""Energy errors against librosa and torch; known gains."""

import librosa
import numpy as np
import pytest
import torch

from vta.metrics import energy


def _wave(seed=0, rate=16_000, seconds=1.0):
  rng = np.random.default_rng(seed)
  swell = np.linspace(0.02, 0.3, int(rate * seconds))[:, None]
  return (swell * rng.normal(size=(len(swell), 2))).astype(np.float32)


def test_rms_error_is_that_of_librosas_frames():
  truth, made = _wave(0), _wave(1)[::-1]
  one, other = (
    librosa.feature.rms(
      y=w.mean(axis=1), frame_length=512, hop_length=128, pad_mode="reflect"
    )
    for w in (truth, made)
  )
  expected = np.abs(one - other).mean()
  assert energy.rms_error(truth, made, rate=16_000) == pytest.approx(
    expected, rel=1e-5
  )


def test_mel_error_is_that_of_audioldms_frames():
  truth, made = _wave(0), _wave(1)[::-1]
  bands = torch.tensor(
    librosa.filters.mel(sr=16_000, n_fft=1024, n_mels=64, fmin=0, fmax=8000)
  )
  curves = []
  for wave in (truth, made):
    y = torch.tensor(wave.mean(axis=1))[None]
    y = torch.nn.functional.pad(y, (432, 432), mode="reflect")[0]
    stft = torch.stft(
      y,
      1024,
      160,
      window=torch.hann_window(1024),
      center=False,
      return_complex=True,
    )
    curves.append(torch.log((bands @ stft.abs()).clamp(min=1e-5)).mean(dim=0))
  expected = (curves[0] - curves[1]).abs().mean().item()
  assert energy.mel_error(truth, made, rate=16_000) == pytest.approx(
    expected, rel=1e-4
  )


def test_a_gain_is_heard_as_itself():
  wave = _wave(2, rate=44_100)
  half = (0.5 * wave).astype(np.float32)
  assert energy.mel_error(wave, half) == pytest.approx(np.log(2), abs=1e-4)
  whole = energy.rms_error(wave, np.zeros_like(wave))
  assert energy.rms_error(wave, half) == pytest.approx(whole / 2, rel=1e-6)
  assert energy.rms_error(wave, wave) == energy.mel_error(wave, wave) == 0
  for error in (energy.rms_error, energy.mel_error):
    with pytest.raises(ValueError, match="differ"):
      error(wave, wave[1:])
