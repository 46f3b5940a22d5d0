"""Sound of every rate, layout and start, read as 44.1 kHz stereo."""

import media_samples as samples
import numpy as np
import pytest
from scipy.io import wavfile

from vta import errors
from vta.media import read


def tone(seconds, *, rate, hertz=441.0, channels=1):
  wave = 0.5 * np.sin(2 * np.pi * hertz * np.arange(seconds * rate) / rate)
  return np.repeat(wave[:, None], channels, axis=1)


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100, 48_000, 96_000])
def test_resampling_keeps_time_and_level(tmp_path, rate):
  path = samples.sound(
    tmp_path / "a.wav", tone(1, rate=rate), rate=rate, layout="mono"
  )
  wave = read.read_audio(path)
  assert wave.dtype == np.float32
  assert wave.shape == (44_100, 2)
  np.testing.assert_array_equal(wave[:, 0], wave[:, 1])
  # The resampler's filter rings at the ends.
  inner = slice(1_000, -1_000)
  want = tone(1, rate=44_100)
  np.testing.assert_allclose(wave[inner, :1], want[inner], atol=2e-3)
  assert read.read_audio(path, rate=16_000).shape == (16_000, 2)


def test_stereo_at_its_own_rate_is_untouched(tmp_path):
  want = np.random.default_rng(0).uniform(-2, 2, (1234, 2)).astype(np.float32)
  path = samples.sound(tmp_path / "a.wav", want, rate=44_100, layout="stereo")
  np.testing.assert_array_equal(read.read_audio(path), want)


def test_five_channels_are_mixed_as_the_standard_says(tmp_path):
  # ITU-R BS.775: centre and surrounds at -3 dB, no LFE; FL FR FC LFE SL SR.
  matrix = np.zeros((6, 2))
  matrix[[0, 2, 4], 0] = matrix[[1, 2, 5], 1] = 1, np.sqrt(0.5), np.sqrt(0.5)
  wave = np.random.default_rng(1).uniform(-1, 1, (999, 6)).astype(np.float32)
  path = samples.sound(
    tmp_path / "a.wav", wave, rate=44_100, layout="5.1(side)"
  )
  want = wave @ matrix / (1 + np.sqrt(2))
  np.testing.assert_allclose(read.read_audio(path), want, atol=1e-6)
  # An integer track is scaled no differently.
  path = samples.video(
    tmp_path / "a.mov", audio=wave, audio_rate=44_100, audio_layout="5.1(side)"
  )
  np.testing.assert_allclose(read.read_audio(path), want, atol=1e-4)


def test_channels_without_a_known_layout(tmp_path):
  path = tmp_path / "a.wav"
  wavfile.write(path, 44_100, np.zeros((100, 9), np.float32))
  with pytest.raises(errors.InputError, match=r"a\.wav: its 9 audio channels"):
    read.read_audio(path)


@pytest.mark.parametrize("name", ["a.mov", "a.mkv"])
@pytest.mark.parametrize("offset", [0, 250, -100])
def test_the_clip_starts_at_the_first_frame(tmp_path, name, offset):
  wave = tone(1, rate=44_100, channels=2)
  path = samples.video(
    tmp_path / name,
    stamps=range(500, 1500, 40),
    audio=wave,
    audio_rate=44_100,
    audio_stamps={0: 500 + offset},
  )
  shift = offset * 441 // 10
  want = wave[-shift:] if offset < 0 else np.pad(wave, ((shift, 0), (0, 0)))
  got = read.read_audio(path)
  assert got.shape == want.shape
  np.testing.assert_allclose(got, want, atol=1e-4)


def test_gaps_are_silence_and_jitter_is_not(tmp_path):
  wave = tone(1, rate=44_100, channels=2)
  for gap in (5, 300):
    path = samples.video(
      tmp_path / "a.mkv",
      audio=wave,
      audio_rate=44_100,
      audio_stamps={0: 0, 22_050: 500 + gap},
    )
    silence = round(gap * 44.1) if gap > 50 else 0
    want = np.insert(wave, [22_050] * silence, 0, axis=0)
    got = read.read_audio(path)
    np.testing.assert_allclose(got, want, atol=1e-4)


def test_aac_padding_is_cut(tmp_path):
  wave = tone(1, rate=48_000, channels=2)[:43_210]
  path = samples.video(tmp_path / "a.mp4", audio=wave, audio_codec="aac")
  got = read.read_audio(path, rate=48_000)
  # MP4's own clock counts milliseconds here.
  assert abs(len(got) - 43_210) <= 48
  np.testing.assert_allclose(got[:43_000], wave[:43_000], atol=0.05)


def test_tracks_that_give_no_sound(tmp_path):
  path = samples.video(tmp_path / "a.mp4")
  with pytest.raises(errors.InputError, match=r"a\.mp4: has no audio track"):
    read.read_audio(path)
  path = samples.sound(
    tmp_path / "a.wav", np.full((9, 2), np.nan), rate=44_100, layout="stereo"
  )
  with pytest.raises(errors.InputError, match=r"a\.wav: .* NaN"):
    read.read_audio(path)
  path = tmp_path / "b.wav"
  wavfile.write(path, 44_100, np.zeros((0, 2), np.float32))
  with pytest.raises(errors.InputError, match=r"b\.wav: no sound"):
    read.read_audio(path)
