"""Waves as others read them; video copied bit for bit under a new track."""

import contextlib
import functools
import os
import resource
from fractions import Fraction

import av
import media_samples as samples
import numpy as np
import pytest
import soundfile

from vta import errors
from vta.media import read, write

VARIABLE = (0, 40, 45, 130, 300, 310, 333, 500, 507, 800, 960)


def noise(samples_count, *, seed=0):
  """Low-passed, as every codec keeps it."""
  rng = np.random.default_rng(seed)
  white = rng.standard_normal((samples_count + 31, 2))
  smooth = np.stack(
    [np.convolve(white[:, c], np.hanning(32) / 16, "valid") for c in (0, 1)], 1
  )
  return (0.3 * smooth).astype(np.float32)


def test_waves_as_another_library_reads_them(tmp_path):
  wave = np.random.default_rng(0).uniform(-1.2, 1.2, (999, 2))
  wave = wave.astype(np.float32)
  write.write_wave(tmp_path / "a.wav", wave)
  got, rate = soundfile.read(tmp_path / "a.wav", dtype="float32")
  assert rate == 44_100
  np.testing.assert_array_equal(got, wave)
  write.write_wave(tmp_path / "b.wav", wave, rate=8_000, sample_format="pcm16")
  assert soundfile.info(tmp_path / "b.wav").subtype == "PCM_16"
  got, rate = soundfile.read(tmp_path / "b.wav", dtype="int16")
  assert rate == 8_000
  want = np.clip(np.round(wave * 2.0**15), -(2**15), 2**15 - 1)
  np.testing.assert_array_equal(got, want)


def test_stems_add_up(tmp_path):
  stems = {"bell": noise(500, seed=1), "rain": noise(500, seed=2)}
  write.write_stems(tmp_path / "new" / "stems", stems)
  got = [
    read.read_audio(tmp_path / "new" / "stems" / f"{name}.wav")
    for name in stems
  ]
  np.testing.assert_array_equal(sum(got), sum(stems.values()))


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".webm"])
@pytest.mark.parametrize("length", [20_000, 44_100, 60_000])
def test_track_is_as_long_as_the_video(tmp_path, suffix, length):
  codec = "libvpx" if suffix == ".webm" else "libx264"
  stamps = np.round(np.arange(31) * 1001 / 30).astype(int).tolist()
  video = samples.video(
    tmp_path / f"a{suffix}",
    stamps=stamps,
    rate=Fraction(30_000, 1001),
    codec=codec,
    audio=None if suffix == ".webm" else np.ones((9_000, 2)),
    audio_codec="aac",
  )
  duration = read.probe(video).duration
  wave = noise(length)
  out = tmp_path / f"out{suffix}"
  write.mux(video, wave, out)
  assert read.probe(out).duration == pytest.approx(duration, abs=1e-3)
  got = read.read_audio(out)
  assert len(got) == round(duration * 44_100)
  want = np.pad(wave, ((0, len(got)), (0, 0)))[: len(got)]
  # In step to the sample, and the old track gone.
  correlation = [
    np.vdot(want, np.roll(got, shift, axis=0)) for shift in range(-3, 4)
  ]
  assert np.argmax(correlation) == 3
  assert np.linalg.norm(got - want) < 0.1 * np.linalg.norm(want)
  with av.open(str(out)) as container:
    assert len(container.streams.audio) == 1
    times = [
      stream.start_time * stream.time_base for stream in container.streams
    ]
    # WebM's clock ticks in milliseconds.
    assert abs(times[0] - times[1]) <= 0.001


@pytest.mark.parametrize(
  ("name", "codec", "out"),
  [
    ("a.mp4", "libx264", "b.mp4"),
    ("a.mp4", "libx264", "b.mkv"),
    ("a.mkv", "libx264", "b.mp4"),
    ("a.mkv", "libx264", "b.mov"),
    ("a.mov", "prores_ks", "b.mov"),
    ("a.webm", "libvpx-vp9", "b.webm"),
    ("a.webm", "libvpx-vp9", "b.mp4"),
  ],
)
def test_video_is_copied(tmp_path, name, codec, out):
  pix_fmt = "yuv422p10le" if codec == "prores_ks" else "yuv420p"
  # Neither starts at 0 nor has a constant rate; x264 writes B-frames.
  stamps = [400 + stamp for stamp in VARIABLE]
  video = samples.video(
    tmp_path / name, stamps=stamps, codec=codec, pix_fmt=pix_fmt
  )
  write.mux(video, noise(1_000), tmp_path / out)
  want, got = (
    samples.video_packets(video),
    samples.video_packets(tmp_path / out),
  )
  assert [packet for _, packet in got] == [packet for _, packet in want]
  np.testing.assert_allclose(
    [float(time) for time, _ in got],
    [float(time) for time, _ in want],
    atol=1.001e-3,  # Matroska rounds both ends to milliseconds
  )
  # The sound starts with the first frame: none of it lies before.
  duration = read.probe(video).duration
  assert len(read.read_audio(tmp_path / out)) == round(duration * 44_100)


def test_what_an_edit_list_hides_stays_hidden(tmp_path):
  whole = samples.video(
    tmp_path / "a.mp4",
    stamps=range(0, 1600, 40),
    options={"bf": "0", "g": "99"},
  )
  video = samples.trimmed(tmp_path / "b.mp4", whole, start=400, end=1200)
  times = np.arange(20) / 25
  for path in (video, tmp_path / "c.mp4", tmp_path / "c.mov"):
    if path != video:
      write.mux(video, noise(100), path)
      assert len(read.read_audio(path)) == round(0.8 * 44_100)
    frames = read.read_frames(path, times=times, height=12, width=16)
    assert samples.index_of(frames.images).tolist() == list(range(10, 30))
    assert frames.report == read.FrameReport(
      duration=0.8, fps=25.0, decoded=20, duplicated=0, missing=0
    )
  # With B-frames FFmpeg passes over hidden frames without a word.
  images = [samples.grey(index % 40) for index in range(100)]
  whole = samples.video(
    tmp_path / "d.mp4", stamps=range(0, 4000, 40), images=images
  )
  cut = samples.trimmed(tmp_path / "e.mp4", whole, start=400, end=1200)
  frames = read.read_frames(cut, times=times, height=12, width=16)
  assert frames.report.missing == 0
  with pytest.raises(errors.InputError, match=r"c\.mkv: only .mp4 and .mov"):
    write.mux(video, noise(100), tmp_path / "c.mkv")


@pytest.mark.parametrize("out", ["b.mp4", "b.mov", "b.mkv"])
@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_rotation_is_kept(tmp_path, out, degrees):
  video = samples.video(
    tmp_path / "a.mp4",
    stamps=[0, 40],
    setup=lambda s: s.set_display_rotation(degrees),
  )
  write.mux(video, noise(100), tmp_path / out)
  assert read.probe(tmp_path / out).rotation == degrees
  ask = dict(times=np.array([0.04]), height=30, width=20)
  np.testing.assert_array_equal(
    read.read_frames(tmp_path / out, **ask).images,
    read.read_frames(video, **ask).images,
  )


def test_pixel_aspect_is_kept(tmp_path):
  def anamorphic(stream):
    stream.codec_context.sample_aspect_ratio = 2

  video = samples.video(tmp_path / "a.mp4", setup=anamorphic)
  for out in ("b.mp4", "b.mkv"):
    write.mux(video, noise(100), tmp_path / out)
    assert read.probe(tmp_path / out).width == 128


def test_sound_lies_beside_the_picture_in_the_file(tmp_path):
  # FFmpeg itself interleaves what it is given within 10 s.
  stamps = range(0, 15_000, 200)
  images = np.random.default_rng(0).integers(0, 255, (75, 48, 64, 3), np.uint8)
  video = samples.video(tmp_path / "a.mp4", stamps=stamps, images=images)
  write.mux(video, noise(15 * 44_100), tmp_path / "b.mp4")
  with av.open(str(tmp_path / "b.mp4")) as container:
    packets = [
      (packet.pos, packet.stream.type, float(packet.dts * packet.time_base))
      for packet in container.demux()
      if packet.size
    ]
  times = {"audio": 0.0, "video": 0.0}
  for _, kind, time in sorted(packets):
    times[kind] = time
    assert abs(times["audio"] - times["video"]) < 1.2


@pytest.mark.parametrize("shape", [(48, 64), (47, 63), (1, 1)])
def test_write_video(tmp_path, shape):
  colours = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (128, 128, 128)] * 3
  images = np.array(colours, np.uint8)[:, None, None]
  images = np.broadcast_to(images, (12, *shape, 3))
  rate = 30_000 / 1001
  path = tmp_path / "a.mp4"
  write.write_video(path, images, rate=rate, wave=noise(10_000))
  info = read.probe(path)
  assert (info.height, info.width) == tuple(side + side % 2 for side in shape)
  assert info.fps == pytest.approx(rate)
  assert info.frames == 12
  got = read.read_frames(
    path, times=(np.arange(12) + 0.5) / rate, height=4, width=6
  ).images
  np.testing.assert_allclose(
    got, images[:, :1, :1] + np.zeros_like(got), atol=4
  )
  assert len(read.read_audio(path)) == round(12 / rate * 44_100)
  write.write_video(path, images, rate=25)
  assert read.probe(path).audio_rate is None


@contextlib.contextmanager
def little_disk(size):
  """The kernel refuses to let any file grow beyond `size` bytes."""
  soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
  resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
  try:
    yield
  finally:
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("name", ["b.mp4", "b.mkv", "b.wav"])
@pytest.mark.parametrize("size", [0, 3_000, 20_000])
def test_full_disk(tmp_path, capfd, name, size):
  video = samples.video(tmp_path / "a.mp4")
  out = tmp_path / name
  out.write_bytes(b"before")
  wave = np.random.default_rng(0).uniform(-1, 1, (44_100, 2))
  if name == "b.wav":
    action = functools.partial(write.write_wave, out, wave)
  else:
    action = functools.partial(write.mux, video, wave, out)
  message = r"b\.\w+: cannot write: File too large"
  with little_disk(size), pytest.raises(errors.InputError, match=message):
    action()
  assert out.read_bytes() == b"before"
  assert sorted(os.listdir(tmp_path)) == ["a.mp4", name]
  assert capfd.readouterr() == ("", "")


def test_what_cannot_be_written(tmp_path):
  video = samples.video(tmp_path / "a.mp4")
  before = video.read_bytes()
  link, hard = tmp_path / "link.mp4", tmp_path / "hard.mp4"
  link.symlink_to(video)
  os.link(video, hard)
  (tmp_path / "folder.mp4").mkdir()
  for out, message in (
    (video, "would overwrite the video"),
    (link, "would overwrite the video"),
    (hard, "would overwrite the video"),
    (tmp_path / "b.avi", r"suffix '.avi' is not one of .mp4, .mov, .mkv"),
    (tmp_path / "b", "suffix '' is not one of"),
    (tmp_path / "b.webm", ".webm cannot hold h264 video: try another of .mp4"),
    (tmp_path / "none" / "b.mp4", "cannot write: No such file or directory"),
    (tmp_path / "folder.mp4", "cannot write: Is a directory"),
  ):
    with pytest.raises(errors.InputError, match=message) as caught:
      write.mux(video, noise(10), out)
    assert caught.value.where == str(out)
  assert video.read_bytes() == before
  left = ["a.mp4", "folder.mp4", "hard.mp4", "link.mp4"]
  assert sorted(os.listdir(tmp_path)) == left
  with pytest.raises(errors.InputError, match=r"cannot hold H\.264 video"):
    write.write_video(
      tmp_path / "b.webm", np.zeros((1, 2, 2, 3), np.uint8), rate=1
    )
  with pytest.raises(errors.InputError, match="cannot write: File exists"):
    write.write_stems(video, {})


def test_video_without_time_stamps_is_not_copied(tmp_path):
  video = samples.video(tmp_path / "a.h264")
  with pytest.raises(errors.InputError, match=r"a\.h264: its frames have no"):
    write.mux(video, noise(10), tmp_path / "b.mp4")
