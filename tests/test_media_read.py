"""Frames by time stamp and sound in stereo, from clips of every odd kind."""

import os

import media_samples as samples
import numpy as np
import pytest

from vta import errors
from vta.media import read, source, write

VARIABLE = (0, 40, 45, 130, 300, 310, 333, 500, 507, 800, 960)
SMALL = dict(height=12, width=16)


def shown_at(stamps, times):
  """Which frame is shown at each time, straight from the definition."""
  stamps = np.array(stamps) / 1000
  return np.maximum(np.searchsorted(stamps, times, side="right") - 1, 0)


@pytest.mark.parametrize(
  ("name", "codec"),
  [
    ("a.mp4", "libx264"),
    ("a.mov", "prores_ks"),
    ("a.mkv", "libx264"),
    ("a.webm", "libvpx"),
  ],
)
def test_frames_are_taken_by_time_stamp(tmp_path, name, codec):
  pix_fmt = "yuv422p10le" if codec == "prores_ks" else "yuv420p"
  path = samples.video(
    tmp_path / name, stamps=VARIABLE, codec=codec, pix_fmt=pix_fmt
  )
  # In any order, before the first frame and after the last one.
  times = np.random.default_rng(0).uniform(-0.1, 1.2, 60)
  frames = read.read_frames(path, times=times, **SMALL)
  np.testing.assert_array_equal(
    samples.index_of(frames.images), shown_at(VARIABLE, times)
  )
  np.testing.assert_array_equal(frames.times, times)
  assert frames.report.decoded == len(VARIABLE)
  assert frames.report.missing == 0


def test_a_frame_is_shown_from_its_own_time_stamp_on(tmp_path):
  path = samples.video(tmp_path / "a.mp4", stamps=VARIABLE)
  stamps = np.array(VARIABLE) / 1000
  for times in (stamps, stamps + 1e-9, stamps - 1e-9):
    images = read.read_frames(path, times=times, **SMALL).images
    assert samples.index_of(images).tolist() == list(range(len(VARIABLE)))
  images = read.read_frames(path, times=stamps[1:] - 2e-3, **SMALL).images
  assert samples.index_of(images).tolist() == list(range(len(VARIABLE) - 1))


def test_report_counts(tmp_path):
  path = samples.video(tmp_path / "a.mp4")
  every = read.read_frames(path, times=np.arange(0, 1, 0.01), **SMALL)
  assert every.report == read.FrameReport(
    duration=1.0, fps=25.0, decoded=25, duplicated=75, missing=0
  )
  # Decoding stops once the last time is served.
  first = read.read_frames(path, times=np.array([0.05, 0.06]), **SMALL)
  assert first.report.decoded < 10
  assert first.report.duplicated == 1
  assert first.report.missing == 0
  assert samples.index_of(first.images).tolist() == [1, 1]
  none = read.read_frames(path, times=np.zeros(0), **SMALL)
  assert none.images.shape == (0, 12, 16, 3)


def test_probe(tmp_path):
  path = samples.video(
    tmp_path / "a.mkv",
    audio=np.zeros((4800, 6)),
    audio_codec="flac",
    audio_layout="5.1",
    setup=lambda stream: stream.set_display_rotation(90),
  )
  assert read.probe(path) == read.MediaInfo(
    path=str(path),
    duration=1.0,
    fps=25.0,
    width=48,
    height=64,
    rotation=90,
    frames=25,
    video_codec="h264",
    audio_rate=48_000,
    audio_channels=6,
  )


def test_pixels_that_are_not_square_are_shown_so(tmp_path):
  def anamorphic(stream):
    stream.codec_context.sample_aspect_ratio = 2

  path = samples.video(tmp_path / "a.mp4", setup=anamorphic)
  info = read.probe(path)
  assert (info.width, info.height) == (128, 48)


@pytest.mark.parametrize("start", [40, 1_400, 3_600_000])
def test_clips_that_do_not_start_at_zero(tmp_path, start):
  stamps = [start + stamp for stamp in VARIABLE]
  path = samples.video(tmp_path / "a.ts", stamps=stamps)
  times = np.random.default_rng(1).uniform(0, 1, 30)
  frames = read.read_frames(path, times=times, **SMALL)
  np.testing.assert_array_equal(
    samples.index_of(frames.images), shown_at(VARIABLE, times)
  )
  assert frames.report.duration == pytest.approx(1.0, abs=0.04)


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
@pytest.mark.parametrize("mirrored", [False, True])
def test_all_eight_orientations(tmp_path, degrees, mirrored):
  corners = np.zeros((48, 64, 3), np.uint8)
  corners[:24, :32] = 250, 0, 0
  corners[:24, 32:] = 0, 250, 0
  corners[24:, :32] = 0, 0, 250
  path = samples.video(
    tmp_path / "a.mp4",
    stamps=[0],
    images=[corners],
    setup=lambda s: s.set_display_rotation(degrees, hflip=mirrored),
  )
  want = np.rot90(corners, degrees // 90)
  want = want[:, ::-1] if mirrored else want
  height, width = want.shape[:2]
  got = read.read_frames(path, times=np.zeros(1), height=height, width=width)
  # Away from the borders, where 4:2:0 mixes colours.
  inner = (slice(4, None, 8), slice(4, None, 8))
  np.testing.assert_allclose(got.images[0][inner], want[inner], atol=12)


def test_scaling_is_the_mean_of_areas(tmp_path):
  image = np.random.default_rng(2).integers(0, 256, (48, 64, 3), np.uint8)
  path = samples.video(
    tmp_path / "a.mkv", stamps=[0], images=[image], codec="ffv1", pix_fmt="bgr0"
  )
  image = image.astype(float)
  for height, width in ((12, 16), (6, 4), (48, 64)):
    want = image.reshape(height, 48 // height, width, 64 // width, 3)
    got = read.read_frames(path, times=np.zeros(1), height=height, width=width)
    np.testing.assert_allclose(got.images[0], want.mean((1, 3)), atol=1.5)


def test_odd_sizes(tmp_path):
  image = np.random.default_rng(3).integers(0, 256, (47, 63, 3), np.uint8)
  path = samples.video(
    tmp_path / "a.mkv", stamps=[0], images=[image], codec="ffv1", pix_fmt="bgr0"
  )
  assert (read.probe(path).width, read.probe(path).height) == (63, 47)
  got = read.read_frames(path, times=np.zeros(1), height=47, width=63)
  np.testing.assert_array_equal(got.images[0], image)
  assert read.read_frames(
    path, times=np.zeros(1), height=9, width=7
  ).images.any()


def test_no_time_stamps_means_the_declared_rate(tmp_path):
  path = samples.video(tmp_path / "a.h264", options={"bf": "2"})
  assert not source.survey(path).stamped
  frames = read.read_frames(path, times=np.arange(25) / 25, **SMALL)
  assert samples.index_of(frames.images).tolist() == list(range(25))


def test_time_stamps_that_jump_back_mean_the_declared_rate(tmp_path):
  first = samples.video(tmp_path / "a.ts", stamps=range(0, 400, 40))
  path = tmp_path / "twice.ts"
  path.write_bytes(first.read_bytes() * 2)
  frames = read.read_frames(path, times=np.arange(20) / 25, **SMALL)
  assert samples.index_of(frames.images).tolist() == [*range(10)] * 2
  assert frames.report.duration == pytest.approx(0.8)


@pytest.mark.parametrize("codec", ["mpeg4", "libx264"])
def test_avi_stores_no_display_times(tmp_path, codec):
  path = samples.video(
    tmp_path / "a.avi",
    codec=codec,
    options={"bf": "2"},
    setup=lambda s: setattr(s.codec_context, "time_base", samples.TICK * 40),
  )
  frames = read.read_frames(path, times=np.arange(25) / 25 + 0.01, **SMALL)
  # MPEG-4 blurs a B-frame's grey with its neighbours', by up to 0.6.
  level = (frames.images.mean((1, 2, 3)) - 20) / 5
  np.testing.assert_allclose(level, np.arange(25), atol=0.8)
  assert frames.report.duration == pytest.approx(1.0)


def test_damaged_packets_are_passed_over_and_counted(tmp_path):
  path = samples.video(
    tmp_path / "a.mov", codec="png", pix_fmt="rgb24", damaged=[0, 7, 8, 24]
  )
  frames = read.read_frames(path, times=np.arange(25) / 25, **SMALL)
  got = samples.index_of(frames.images).tolist()
  assert got == [1, 1, 2, 3, 4, 5, 6, 6, 6, *range(9, 24), 23]
  assert (frames.report.decoded, frames.report.missing) == (21, 4)
  assert frames.report.duplicated == 4
  # Up to the last frame asked for, only what is damaged before it counts.
  start = read.read_frames(path, times=np.array([0.1]), **SMALL)
  assert start.report.missing == 1


def test_nothing_that_decodes(tmp_path, capfd):
  path = samples.video(
    tmp_path / "a.mov", codec="png", pix_fmt="rgb24", damaged=range(25)
  )
  with pytest.raises(errors.InputError, match=r"a\.mov: no frame of its video"):
    read.read_frames(path, times=np.zeros(1), **SMALL)
  with pytest.raises(errors.InputError, match=r"a\.mov: no frame of its video"):
    read.probe(path)
  assert capfd.readouterr() == ("", "")


def test_a_file_cut_in_its_data(tmp_path):
  noise = np.random.default_rng(4).integers(0, 256, (25, 48, 64, 3), np.uint8)
  whole = tmp_path / "a.mp4"
  write.write_video(whole, noise, rate=25.0)  # index first, then data
  cut = tmp_path / "cut.mp4"
  cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 6 // 10])
  times = np.arange(25) / 25
  frames = read.read_frames(cut, times=times, **SMALL)
  want = read.read_frames(whole, times=times, **SMALL)
  count = frames.report.decoded
  assert 5 < count < 20
  assert frames.report.missing == 25 - count
  # Up to 3 B-frames before the last packet are lost.
  assert frames.report.duration == pytest.approx(count / 25, abs=0.13)
  np.testing.assert_array_equal(frames.images[:5], want.images[:5])


def test_a_file_with_one_frame(tmp_path):
  path = samples.video(tmp_path / "a.mp4", stamps=[0])
  frames = read.read_frames(path, times=np.array([0.0, 5.0]), **SMALL)
  assert samples.index_of(frames.images).tolist() == [0, 0]
  assert 0 < read.probe(path).duration < 0.1


def bad_files(folder):
  """Yields a name, the bytes to put there (None for none) and the message."""
  whole = samples.video(folder / "whole.mp4").read_bytes()
  yield "missing.mp4", None, "cannot read: No such file"
  yield "empty.mp4", b"", "cannot read: the file is empty"
  yield "text.mp4", b"not a video\n" * 50, "not a media file"
  yield "no_index.mp4", whole[: len(whole) // 2], "not a media file"
  tone = np.sin(np.arange(4800) / 10)[:, None]
  path = samples.sound(folder / "s.wav", tone, rate=48_000, layout="mono")
  yield "sound.mp4", path.read_bytes(), "has no video track"
  none = np.zeros((0, 48, 64, 3), np.uint8)
  path = samples.video(
    folder / "n.avi", stamps=[], images=none, size=(48, 64), codec="mpeg4"
  )
  yield "no_frames.avi", path.read_bytes(), "its video track has no frames"
  wide = [np.zeros((2, 16_386, 3), np.uint8)]
  path = samples.video(
    folder / "w.mov", stamps=[0], images=wide, codec="png", pix_fmt="rgb24"
  )
  yield "wide.mov", path.read_bytes(), "frames of 16386x2 are too large"


def test_bad_files(tmp_path, capfd):
  for name, content, message in bad_files(tmp_path):
    path = tmp_path / name
    if content is not None:
      path.write_bytes(content)
    for reader in (
      read.probe,
      lambda path: read.read_frames(path, times=np.zeros(1), **SMALL),
      lambda path: write.mux(path, np.zeros((9, 2)), tmp_path / "out.mp4"),
    ):
      with pytest.raises(errors.InputError, match=message) as caught:
        reader(path)
      assert caught.value.where == str(path)
      assert "\n" not in str(caught.value)
  assert capfd.readouterr() == ("", "")


def test_what_is_not_a_file(tmp_path):
  with pytest.raises(errors.InputError, match="cannot read: Is a directory"):
    read.probe(tmp_path)
  pipe = tmp_path / "pipe.mp4"
  os.mkfifo(pipe)
  with pytest.raises(errors.InputError, match="cannot read: not a file"):
    read.probe(pipe)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_no_permission(tmp_path):
  path = samples.video(tmp_path / "a.mp4")
  path.chmod(0)
  with pytest.raises(errors.InputError, match="cannot read: Permission denied"):
    read.probe(path)


def test_a_name_is_not_a_protocol(tmp_path, monkeypatch):
  samples.video(tmp_path / "a.mp4").rename(tmp_path / "http:a.mp4")
  monkeypatch.chdir(tmp_path)
  assert read.probe("http:a.mp4").frames == 25
