"""A clip's records are what is seen and heard at their times."""

import media_samples
import numpy as np
import pytest

from data_prep import cutting
from data_prep.sets import entry as entry_lib
from vta import errors
from vta.interop import release
from vta.signals import loudness as loudness_lib

RATE = 44_100
LOOK = cutting.Look(rate=15.0, size=64)


def tone(seconds, *, start, end, level=0.5):
  """Stereo, left only, sounding from `start` to `end`."""
  times = np.arange(round(seconds * RATE)) / RATE
  inside = (times >= start) & (times < end)
  wave = np.zeros((len(times), 2), np.float32)
  wave[:, 0] = level * inside * np.sin(2 * np.pi * 997 * times)
  return wave


def film(path, wave, *, seconds=3.0):
  """25 greys a second, as `media_samples` has them, and a sound."""
  count = round(25 * seconds)
  return media_samples.video(
    path,
    stamps=tuple(range(0, 40 * count, 40)),
    images=[media_samples.grey(i % 45) for i in range(count)],
    audio=wave,
    audio_rate=RATE,
  )


def clip(*, start=0.0, end=3.0, **more):
  own = {"id": "one", "source": "s", "media": "a.mkv", **more}
  return cutting.Clip(entry=entry_lib.Entry(**own), start=start, end=end)


def test_a_record_is_what_is_seen_and_heard_at_its_time(tmp_path):
  path = film(tmp_path / "a.mkv", tone(3.0, start=1.75, end=2.25))
  first, second = cutting.cut(path, [clip()], look=LOOK, longest=2.0)
  assert [r.meta["id"] for r in (first, second)] == ["one-0", "one-1"]
  for part in (first, second):
    assert part.meta["duration"] == 1.5
    assert part.arrays["wave"].shape == (66_150, 2)
    assert part.arrays["frames"].shape == (23, 64, 64, 3)
  # 1.75 to 2.25 s of the film are 0.25 to 0.75 s of its second half.
  assert len(first.arrays["events"]) == 0
  np.testing.assert_allclose(
    second.arrays["events"], [[0.25, 0.75]], atol=0.011
  )
  level = second.arrays["loudness"]
  np.testing.assert_allclose(
    second.arrays["loudness_times"], (np.arange(9) + 0.5) / 6, atol=1e-4
  )
  # BS.1770: a 997 Hz sine of -6.02 dBFS has -3.01 - 6.02 - 0.69 + 0.69 LUFS.
  np.testing.assert_allclose(level[2:4, 0], -9.03, atol=0.1)
  assert (level[:, 1] == loudness_lib.FLOOR).all()
  assert (first.arrays["loudness"] == loudness_lib.FLOOR).all()
  for start, part in ((0.0, first), (1.5, second)):
    shown = media_samples.index_of(part.arrays["frames"])
    expected = np.floor((start + np.arange(23) / 15) * 25 + 1e-6) % 45
    np.testing.assert_array_equal(shown, expected)


def test_clips_of_a_file_are_cut_from_their_own_stretches(tmp_path):
  path = film(tmp_path / "a.mkv", tone(3.0, start=1.75, end=2.25))
  early, late = cutting.cut(
    path,
    [
      clip(id="early", start=0.4, end=1.4),
      clip(
        id="late",
        start=1.6,
        end=2.6,
        events=(entry_lib.Event(start=0.15, end=0.65, label="tone"),),
      ),
    ],
    look=LOOK,
    longest=2.0,
  )
  assert (early.meta["start"], late.meta["start"]) == (0.4, 1.6)
  shown = media_samples.index_of(late.arrays["frames"])
  expected = np.floor((1.6 + np.arange(15) / 15) * 25 + 1e-6) % 45
  np.testing.assert_array_equal(shown, expected)
  heard = np.flatnonzero(np.abs(late.arrays["wave"][:, 0]) > 1000) / RATE
  np.testing.assert_allclose((heard[0], heard[-1]), (0.15, 0.65), atol=0.01)
  # What the set says is at the same time as what is heard.
  np.testing.assert_allclose(late.arrays["events"], [[0.15, 0.65]], atol=1e-6)
  assert not early.arrays["wave"].any()


def test_sound_that_ends_early_is_followed_by_silence(tmp_path):
  # Two seconds of sound under three of pictures.
  path = film(tmp_path / "a.mkv", tone(2.0, start=0.0, end=2.0))
  _, second = cutting.cut(path, [clip()], look=LOOK, longest=2.0)
  wave = second.arrays["wave"]
  assert len(wave) == 66_150
  assert np.abs(wave[: RATE // 2 - 2000, 0]).max() > 16_000
  assert not wave[RATE // 2 + 2000 :].any()


def test_without_a_look_there_is_sound_alone(tmp_path):
  path = film(tmp_path / "a.mkv", tone(3.0, start=0.0, end=2.0))
  (only,) = cutting.cut(path, [clip()], look=None, longest=3.0)
  assert "frames" not in only.arrays
  assert "frame_times" not in only.arrays
  assert len(only.arrays["wave"]) == 3 * RATE


def test_parts_are_equal_and_none_is_much_too_long():
  assert cutting.parts(10.0, 10.0) == [(0.0, 10.0)]
  assert cutting.parts(10.04, 10.0) == [(0.0, 10.04)]
  assert len(cutting.parts(11.0, 10.0)) == 2
  parts = cutting.parts(25.0, 10.0)
  assert len(parts) == 3
  np.testing.assert_allclose([b - a for a, b in parts], 25 / 3)


@pytest.mark.parametrize(
  ("config", "look"),
  [
    ({"preset": "tri_ergon"}, (6.0, 224)),
    ({"preset": "stable_audio"}, (1.0, 64)),
    (
      {"preset": "foley", "clip": {"frame_rate": 12.5, "frame_size": 32}},
      (12.5, 32),
    ),
  ],
)
def test_a_release_says_how_it_sees(tmp_path, config, look):
  release.write(tmp_path, config=config, parts={}, card="")
  found = cutting.Look.of_release(tmp_path)
  assert (found.rate, found.size) == look


def test_what_is_not_tuned_on_videos_is_refused(tmp_path):
  release.write(tmp_path, config={"preset": "codec"}, parts={}, card="")
  with pytest.raises(errors.InputError, match="'codec' is not tuned on videos"):
    cutting.Look.of_release(tmp_path)
