"""Every kind of damaged clip is left out for its reason, and no other clip."""

import dataclasses
import os
import shutil
import wave

import av
import catalogue_samples
import media_samples
import numpy as np
import pytest

from data_prep import checks, fingerprint
from data_prep.sets import entry as entry_lib
from vta.media import read

RATE = catalogue_samples.RATE


def check(path, *, start=0.0, end=np.inf, sound_only=False, **limits):
  one = entry_lib.Entry(
    id="one", source="s", media=path.name, start=start, end=end
  )
  (found,) = checks.check_file(
    path,
    [one],
    limits=checks.Thresholds(**limits),
    sound_only=sound_only,
  )
  assert not found.reason or found.reason in checks.REASONS
  assert bool(found.reason) == bool(found.detail)
  return found


def tones(seconds=1.6, **more):
  return catalogue_samples.tones(seconds, **{"seed": 1, **more})


def film(path, **more):
  return catalogue_samples.film(path, **{"seed": 1, **more})


def remuxed(path, source):
  """The same packets in another container."""
  with av.open(str(source)) as container, av.open(str(path), "w") as output:
    copies = {
      stream.index: output.add_stream_from_template(stream, opaque=True)
      for stream in container.streams
    }
    for packet in container.demux():
      if packet.size:
        packet.stream = copies[packet.stream.index]
        output.mux(packet)
  return path


def cut_short(path, *, share):
  path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
  return path


def _directory(folder):
  path = folder / "directory.mkv"
  path.mkdir()
  return path


def _pipe(folder):
  path = folder / "pipe.mkv"
  os.mkfifo(path)
  return path


def _text(folder, *, content=b"no video at all, whatever the name says\n"):
  path = folder / "text.mp4"
  path.write_bytes(content)
  return path


def _nan(folder):
  sound = tones()
  sound[5000] = np.nan
  return film(folder / "nan.mkv", wave=sound, audio_codec="pcm_f32le")


def _sound(folder, *, seconds=2.0):
  path = folder / "sound.wav"
  samples = tones(2.0)[: round(seconds * RATE)]
  with wave.open(str(path), "wb") as file:
    file.setparams((2, 2, RATE, 0, "NONE", ""))
    file.writeframes((samples * 32767).astype("<i2").tobytes())
  return path


# Name -> what makes it, the reason, and a part of the detail.
KINDS = {
  "missing": (lambda f: f / "nowhere.mkv", "missing", "no such file"),
  "directory": (_directory, "unreadable", ""),
  "pipe": (_pipe, "unreadable", "not a file"),
  "empty": (lambda f: _text(f, content=b""), "unreadable", "is empty"),
  "text": (_text, "unreadable", "not a media file"),
  "no index": (
    lambda f: cut_short(film(f / "cut.mp4", audio_codec="aac"), share=0.6),
    "unreadable",
    "not a media file",
  ),
  "cut": (
    lambda f: cut_short(film(f / "cut.mkv", audio_codec="aac"), share=0.4),
    "truncated",
    "of 1.6",
  ),
  "no picture": (_sound, "no_video", "no video track"),
  "all damaged": (
    lambda f: film(f / "damaged.mkv", damaged=range(40)),
    "unreadable",
    "no frames",
  ),
  "mostly damaged": (
    lambda f: film(f / "damaged.mp4", damaged=range(6, 40), audio_codec="aac"),
    "truncated",
    "holds 6 of 40 frames",
  ),
  "no sound": (lambda f: media_samples.video(f / "mute.mkv"), "no_audio", ""),
  "nan": (_nan, "nan", "NaN"),
  "blink": (lambda f: film(f / "blink.mkv", seconds=0.8), "too_short", "0.80"),
  "silent": (
    lambda f: film(f / "silent.mkv", wave=np.zeros((70_000, 2), np.float32)),
    "silent",
    "-70.0 LUFS",
  ),
  "faint": (
    lambda f: film(f / "faint.mkv", wave=tones(level=4e-4)),
    "silent",
    "LUFS at its loudest",
  ),
  "clipped": (
    lambda f: film(
      f / "clipped.mkv",
      wave=np.clip(tones(level=4.0), -1, 1),
    ),
    "clipped",
    "% of its samples",
  ),
  "still": (lambda f: film(f / "still.mkv", still=True), "static", "no pixel"),
  "sound ends early": (
    lambda f: film(f / "early.mkv", seconds=3.0, wave=tones(1.2)),
    "lengths",
    "1.20 s of sound, 3.00 s of pictures",
  ),
  "picture ends early": (
    lambda f: film(f / "late.mkv", seconds=1.2, wave=tones(3.0)),
    "lengths",
    "3.00 s of sound",
  ),
  "too large": (
    lambda f: film(
      f / "large.mkv",
      codec="ffv1",
      stamps=(0, 800),
      images=[np.zeros((2, 16_400, 3), np.uint8)] * 2,
    ),
    "unreadable",
    "too large",
  ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_damage_has_its_reason(kind, tmp_path):
  make, reason, detail = KINDS[kind]
  found = check(make(tmp_path))
  assert found.reason == reason, found.detail
  assert detail in found.detail


@pytest.mark.parametrize(
  ("limits", "span", "reason"),
  [
    ({}, (9.0, 11.0), "outside"),
    ({}, (0.0, 2.7), "outside"),
    ({}, (0.9, np.inf), "too_short"),
    ({}, (0.2, 1.8), ""),
    ({"longest_file": 1.0}, (0.0, np.inf), "long_file"),
  ],
)
def test_a_stretch_is_within_its_file(tmp_path, limits, span, reason):
  found = check(film(tmp_path / "a.mkv"), start=span[0], end=span[1], **limits)
  assert found.reason == reason, found.detail


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(tmp_path):
  path = film(tmp_path / "a.mkv")
  path.chmod(0)
  assert check(path).reason == "unreadable"


@pytest.mark.parametrize(
  "more",
  [
    {"audio_layout": "mono", "wave": tones(channels=1)},
    {"audio_layout": "5.1", "wave": tones(channels=6)},
    {"audio_rate": 22_050, "wave": tones(rate=22_050)},
    {"stamps": tuple(int(1560 * (i / 39) ** 1.3) for i in range(40))},
    {"audio_codec": "aac"},
    {"damaged": (17,)},
  ],
  ids=["mono", "5.1", "22 kHz", "variable rate", "AAC", "one bad packet"],
)
def test_what_is_only_unusual_passes(tmp_path, more):
  found = check(film(tmp_path / "a.mkv", **more))
  assert found.reason == "", found.detail
  assert found.end == pytest.approx(1.6, abs=0.1)
  assert (found.width, found.height) == (64, 48)
  assert -40 < found.loudness < -10


def test_a_cut_mp4_whose_index_is_whole(tmp_path):
  path = film(tmp_path / "a.mp4", audio_codec="aac")
  fast = tmp_path / "fast.mp4"
  with (
    av.open(str(path)) as container,
    av.open(str(fast), "w", options={"movflags": "faststart"}) as output,
  ):
    copies = [
      output.add_stream_from_template(s, opaque=True) for s in container.streams
    ]
    for packet in container.demux():
      if packet.size:
        packet.stream = copies[packet.stream.index]
        output.mux(packet)
  assert check(fast).reason == ""
  assert check(cut_short(fast, share=0.6)).reason == "truncated"


def test_frames_that_do_not_decode_are_counted(tmp_path, monkeypatch):
  whole = read.read_frames

  def damaged(*args, **more):
    found = whole(*args, **more)
    report = dataclasses.replace(found.report, missing=4)
    return dataclasses.replace(found, report=report)

  monkeypatch.setattr(read, "read_frames", damaged)
  found = check(film(tmp_path / "a.mkv"))
  assert found.reason == "unreadable"
  assert found.detail == "4 of 40 frames do not decode"


def test_sound_alone_is_checked_alone(tmp_path):
  path = _sound(tmp_path)
  found = check(path, sound_only=True)
  assert (found.reason, found.seen, found.end) == ("", False, 2.0)
  # Of a film the picture does not count then.
  still = film(tmp_path / "still.mkv", still=True)
  assert check(still, sound_only=True).reason == ""
  whole = media_samples.sound(
    tmp_path / "float.wav", tones(2.0), rate=RATE, layout="stereo"
  )
  found = check(cut_short(whole, share=0.5), sound_only=True)
  assert (found.reason, found.detail) == ("truncated", "holds 1.00 of 2.00 s")
  found = check(_sound(tmp_path, seconds=0.0), sound_only=True)
  assert (found.reason, found.detail) == (
    "unreadable",
    "no sound in its audio track decodes",
  )


def test_clips_of_a_file_are_told_apart(tmp_path):
  sound = tones(4.0)
  sound[RATE * 2 :] = 0.0
  path = film(tmp_path / "a.mkv", seconds=4.0, wave=sound)
  clips = [
    entry_lib.Entry(id=name, source="s", media="a.mkv", start=a, end=b)
    for name, a, b in (("heard", 0.5, 2.0), ("not", 2.5, 4.0), ("no", 7.0, 8.0))
  ]
  found = checks.check_file(
    path, clips, limits=checks.Thresholds(), sound_only=False
  )
  assert [one.reason for one in found] == ["", "silent", "outside"]
  assert [one.id for one in found] == ["heard", "not", "no"]


def prints(path, **more):
  found = check(path, **more)
  assert found.reason == "", found.detail
  return fingerprint.Print.of_text(found.content)


def test_a_copy_in_another_container_is_found_among_many(tmp_path):
  index = fingerprint.Index()
  for seed in range(8):
    path = film(tmp_path / f"{seed}.mp4", seed=seed, audio_codec="aac")
    index.add(str(seed), prints(path))
  for suffix in ("mkv", "mov"):
    copy = remuxed(tmp_path / f"copy.{suffix}", tmp_path / "5.mp4")
    assert copy.read_bytes() != (tmp_path / "5.mp4").read_bytes()
    assert index.find(prints(copy)) == "5"
  shutil.copy(tmp_path / "3.mp4", tmp_path / "same.mp4")
  assert index.find(prints(tmp_path / "same.mp4")) == "3"
  assert index.find(prints(tmp_path / "same.mp4", sound_only=True)) == "3"
  other = prints(film(tmp_path / "9.mp4", seed=9, audio_codec="aac"))
  assert index.find(other) is None


def test_the_same_sound_over_another_picture_is_another_clip(tmp_path):
  sound = tones()
  one, other = (
    prints(film(tmp_path / f"{seed}.mkv", seed=seed, wave=sound))
    for seed in (1, 2)
  )
  assert fingerprint.alike(one, one)
  assert not fingerprint.alike(one, other)
  # And the same picture under another sound.
  quiet = prints(film(tmp_path / "c.mkv", wave=tones(seed=3), seed=1))
  assert not fingerprint.alike(one, quiet)
