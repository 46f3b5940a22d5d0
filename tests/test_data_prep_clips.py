"""A folder of videos to records: what is heard when, and what is not used."""

import json

import media_samples
import numpy as np
import pytest

from data_prep import clips
from vta.data import records
from vta.interop import release

RATE = 44_100


def tone(seconds, *, start, end, level=0.5):
  """Stereo, left only, sounding from `start` to `end`."""
  times = np.arange(round(seconds * RATE)) / RATE
  inside = (times >= start) & (times < end)
  wave = np.zeros((len(times), 2), np.float32)
  wave[:, 0] = level * inside * np.sin(2 * np.pi * 997 * times)
  return wave


def film(path, wave=None, *, seconds=3.0):
  """25 greys a second, as `media_samples` has them, and a sound."""
  path.parent.mkdir(parents=True, exist_ok=True)
  count = round(25 * seconds)
  return media_samples.video(
    path,
    stamps=tuple(range(0, 40 * count, 40)),
    images=[media_samples.grey(i % 45) for i in range(count)],
    audio=wave,
    audio_rate=RATE,
  )


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
  folder = tmp_path_factory.mktemp("videos")
  for i in range(4):
    film(folder / f"{i}.mkv", tone(3.0, start=1.75, end=2.25))
  film(folder / "below" / "long.mkv", tone(2.0, start=0.0, end=2.0))
  film(folder / "mute.mkv")
  film(folder / "silent.mkv", np.zeros((2 * RATE, 2), np.float32))
  film(folder / "blink.mkv", tone(0.5, start=0.0, end=0.5), seconds=0.5)
  (folder / "broken.mp4").write_bytes(b"no video")
  (folder / "notes.txt").write_text("not a video at all")
  return folder


@pytest.fixture(scope="module")
def captions(tmp_path_factory):
  path = tmp_path_factory.mktemp("captions") / "captions.csv"
  rows = ["caption,file", *(f'"a tone, {i}",{i}.mkv' for i in range(3))]
  path.write_text("\n".join([*rows, "another,0.mkv", "long,below/long.mkv"]))
  return path


@pytest.fixture(scope="module")
def made(videos, captions, tmp_path_factory):
  out = tmp_path_factory.mktemp("out") / "mine"
  arguments = ["--videos", videos, "--captions", captions, "--out", out]
  more = ["--seconds", "2", "--validation", "0.3"]
  assert clips.main([*map(str, arguments), *more]) == 0
  return out


def found(made):
  read = {
    side: list(records.Shards([made / side]))
    for side in ("train", "validation")
  }
  return read, {r.meta["id"]: r for rows in read.values() for r in rows}


def test_files_are_split_and_every_stretch_is_on_its_file_s_side(made):
  sides, by_id = found(made)
  manifest = json.loads((made / "manifest.json").read_text())
  names = {side: {r.meta["file"] for r in rows} for side, rows in sides.items()}
  assert names == {side: set(manifest[side]) for side in names}
  assert not names["train"] & names["validation"]
  # 0.3 of five files, and three seconds are two stretches.
  assert (len(names["train"]), len(names["validation"])) == (3, 2)
  assert len(by_id) == 10
  assert {p.name for p in made.iterdir()} == {
    "train",
    "validation",
    "manifest.json",
  }


def test_what_cannot_be_used_is_listed_with_the_reason(made):
  skipped = json.loads((made / "manifest.json").read_text())["skipped"]
  reasons = {
    "mute.mkv": "has no audio track",
    "silent.mkv": "its sound is silence throughout",
    "blink.mkv": "lasts 0.48 s; 1 s or more are needed",
    "broken.mp4": "not a media file",
  }
  assert skipped.keys() == reasons.keys()
  for name, reason in reasons.items():
    assert reason in skipped[name]


@pytest.mark.parametrize(
  ("table", "message"),
  [
    ("file;caption\n0.mkv;x", "line 1: the columns"),
    ("file,caption\n0.mkv,x\n9.mkv,x", "line 3: there is no video '9.mkv'"),
    ("file,caption\n0.mkv,", "line 2: the caption is empty"),
  ],
)
def test_a_table_that_does_not_fit_is_refused(
  videos, tmp_path, capsys, table, message
):
  path = tmp_path / "captions.csv"
  path.write_text(table)
  arguments = ["--videos", videos, "--captions", path, "--out", tmp_path / "o"]
  assert clips.main([*map(str, arguments)]) == 2
  assert message in capsys.readouterr().err
  assert not (tmp_path / "o").exists()


def test_one_usable_video_is_too_few_and_nothing_is_left(
  videos, tmp_path, capsys
):
  folder = tmp_path / "few"
  folder.mkdir()
  for name in ("0.mkv", "mute.mkv"):
    (folder / name).write_bytes((videos / name).read_bytes())
  out = tmp_path / "out"
  arguments = ["--videos", str(folder), "--out", str(out)]
  assert clips.main(arguments) == 2
  assert "1 of 2 videos can be used" in capsys.readouterr().err
  assert clips.main([*arguments, "--validation", "1"]) == 2
  assert clips.main([*arguments, "--seconds", "1"]) == 2
  assert sorted(p.name for p in tmp_path.iterdir()) == ["few"]


@pytest.mark.parametrize(
  ("preset", "frames", "size"),
  [("tri_ergon", 18, 224), ("stable_audio", 3, 64)],
)
def test_presets_without_a_rate_of_their_own_have_one(
  videos, tmp_path, preset, frames, size
):
  folder, base = tmp_path / "two", tmp_path / "base"
  folder.mkdir()
  for name in ("0.mkv", "1.mkv"):
    (folder / name).write_bytes((videos / name).read_bytes())
  release.write(base, config={"preset": preset}, parts={}, card="")
  given = {"--videos": folder, "--checkpoint": base, "--out": tmp_path / "out"}
  assert clips.main([str(x) for pair in given.items() for x in pair]) == 0
  _, by_id = found(tmp_path / "out")
  for record in by_id.values():
    assert record.arrays["frames"].shape == (frames, size, size, 3)


def test_what_is_not_tuned_on_videos_is_refused(videos, tmp_path, capsys):
  release.write(tmp_path, config={"preset": "codec"}, parts={}, card="")
  given = {"--videos": videos, "--checkpoint": tmp_path, "--out": "unused"}
  assert clips.main([str(x) for pair in given.items() for x in pair]) == 2
  assert "preset: 'codec' is not tuned on videos" in capsys.readouterr().err


def test_few_names_change_sides_when_names_are_added():
  names = [f"{i}.mp4" for i in range(40)]
  train, held_out = clips.split(names, share=0.15)
  assert len(held_out) == 6
  assert sorted(train + held_out) == sorted(names)
  assert clips.split(names[::-1], share=0.15) == (train, held_out)
  _, later = clips.split([*names, "more.mp4"], share=0.15)
  assert len(set(later) & set(held_out)) >= 5
  assert clips.split(["a", "b"], share=0.01)[1] != []
  assert clips.split(["a", "b"], share=0.99)[0] != []
