"""Catalogue and media to shards: what is made, left out, and made again."""

import hashlib
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time

import catalogue_samples
import numpy as np
import pytest
import tiny_heads
import tiny_release

from data_prep import checks, fingerprint, making, plan, prepare
from data_prep.sets import entry as entry_lib
from vta import cli, errors
from vta.data import records

pytestmark = pytest.mark.filterwarnings(
  # Beam's and TFDS's own.
  "ignore::DeprecationWarning",
  "ignore::FutureWarning",
)
COUNT = 9


def entry(number, **more):
  own = {
    "id": f"clip{number}",
    "source": f"source{number}",
    "media": f"{number}.mkv",
    "captions": (f"melody {number}", "a melody"),
    "labels": ("melody", "odd" if number % 2 else "even"),
    "licence": "CC0",
  }
  return entry_lib.Entry(**{**own, **more})


@pytest.fixture(scope="module")
def films(tmp_path_factory):
  """Good films; 8 is longer than a record may be."""
  folder = tmp_path_factory.mktemp("films")
  for i in range(COUNT):
    seconds = 3.0 if i == 8 else 1.6
    catalogue_samples.film(folder / f"{i}.mkv", seed=i, seconds=seconds)
  return folder


@pytest.fixture(scope="module")
def small(films, tmp_path_factory):
  """A catalogue of all of them."""
  folder = tmp_path_factory.mktemp("small")
  return catalogue_samples.index(
    folder,
    {
      "train": [entry(i) for i in (0, 1, 2, 3, 8)],
      "validation": [entry(4)],
      "test": [
        entry(5),
        entry(6),
        entry(
          7,
          events=(
            entry_lib.Event(start=0.22, end=0.52, label="knock"),
            entry_lib.Event(start=0.42, end=0.82, label="ring"),
            entry_lib.Event(start=1.03, end=1.03, label="knock"),
          ),
        ),
      ],
    },
  )


def arguments(index, films, out, *more):
  return [
    *("--index", str(index), "--source", str(films), "--out", str(out)),
    *("--seconds", "2", "--shard-size", "2", "--workers", "1"),
    *("--checkpoint", str(tiny_release.folder())),
    *map(str, more),
  ]


def run(index, films, out, *more):
  return prepare.main(arguments(index, films, out, *more))


def process(*more):
  """The command as a user has it, in a process of its own."""
  return subprocess.Popen(
    [sys.executable, "-m", "data_prep.prepare", *more],
    stdout=subprocess.PIPE,
    stderr=subprocess.STDOUT,
    text=True,
    start_new_session=True,
  )


def content(folder):
  """Every file's digest."""
  return {
    path.relative_to(folder).as_posix(): hashlib.sha256(
      path.read_bytes()
    ).hexdigest()
    for path in sorted(folder.rglob("*"))
    if path.is_file()
  }


def quarantine(out):
  return {
    row["id"]: row for row in json.loads((out / "quarantine.json").read_text())
  }


@pytest.fixture(scope="module")
def made(small, films, tmp_path_factory):
  out = tmp_path_factory.mktemp("made") / "set"
  codec = ("--codec", tiny_release.folder(), "--captions", "1")
  assert run(small, films, out, *codec) == 0
  return out


def by_id(folder):
  return {
    record.meta["id"]: record
    for split in ("train", "validation", "test")
    if (folder / split).exists()
    for record in records.Shards([folder / split])
  }


def test_every_clip_is_in_its_split(made):
  names = {
    split: sorted(r.meta["id"] for r in records.Shards([made / split]))
    for split in entry_lib.SPLITS
  }
  assert names == {
    "train": ["clip0-0", "clip1-0", "clip2-0", "clip3-0", "clip8-0", "clip8-1"],
    "validation": ["clip4-0"],
    "test": ["clip5-0", "clip6-0", "clip7-0"],
  }
  assert [p.name for p in records.shards_of(made / "train")] == [
    f"0000{i}.array_record" for i in range(3)
  ]


def test_a_record_holds_what_was_seen_heard_and_said(made):
  record = by_id(made)["clip3-0"]
  records.check(record)
  assert record.meta["captions"] == ["melody 3"]
  assert record.meta["labels"] == ["melody", "odd"]
  assert record.meta["source"] == "source3"
  assert record.meta["licence"] == "CC0"
  assert record.meta["events_by"] == "wave"
  assert record.arrays["frames"].shape == (24, 16, 16, 3)
  assert record.meta["latent_rate"] == 44_100 / 2048
  assert len(record.arrays["latent_mean"]) == np.ceil(1.6 * 44_100 / 2048)
  # A long one is cut, and its second half is the second half.
  second = by_id(made)["clip8-1"]
  assert (second.meta["start"], second.meta["duration"]) == (1.5, 1.5)


def test_what_a_set_says_of_events_is_kept(made):
  record = by_id(made)["clip7-0"]
  assert record.meta["events_by"] == "set"
  # Those that overlap are one; a moment sounds for a tenth of a second.
  np.testing.assert_allclose(
    record.arrays["events"], [[0.22, 0.82], [1.03, 1.13]], atol=1e-6
  )
  assert record.meta["objects"] == ["knock", "ring"]
  frames = record.arrays["frame_times"]
  knock = (frames > 0.22) & (frames < 0.52) | (frames > 1.03) & (frames < 1.13)
  np.testing.assert_array_equal(record.arrays["object_sounding"][:, 0], knock)
  np.testing.assert_array_equal(
    record.arrays["object_probability"][:, 1],
    (frames > 0.42) & (frames < 0.82),
  )
  start, end, label = record.meta["set_events"][1]
  assert ((start, end), label) == (pytest.approx((0.42, 0.82)), "ring")


def test_the_manifest_counts_and_the_card_tells(made):
  manifest = json.loads((made / "manifest.json").read_text())
  assert manifest["splits"]["train"]["records"] == 6
  assert manifest["splits"]["train"]["seconds"] == pytest.approx(4 * 1.6 + 3.0)
  assert manifest["left_out"] == {}
  statistics = manifest["statistics"]
  assert statistics["labels"] == {"melody": 9, "even": 5, "odd": 4}
  latents = np.concatenate(
    [r.arrays["latent_mean"].astype(float) for r in by_id(made).values()]
  )
  np.testing.assert_allclose(
    statistics["latents"]["mean"], latents.mean(0), atol=1e-4
  )
  np.testing.assert_allclose(
    statistics["latents"]["std"], latents.std(0), atol=1e-4
  )
  for split, rows in manifest["shards"].items():
    for row in rows:
      path = made / split / row["name"]
      digest = hashlib.sha256(path.read_bytes()).hexdigest()
      assert digest == row["sha256"]
  card = (made / "README.md").read_text()
  assert "| train | 5 | 5 | 6 |" in card
  assert "https://films.example" in card
  assert "| CC0 | 9 |" in card
  for name in ("duration", "loudness", "classes"):
    assert f"({name}.png)" in card
    assert (made / f"{name}.png").read_bytes().startswith(b"\x89PNG")


def test_validate_agrees(made, capsys):
  assert cli.main(["validate", str(made)]) == 0
  assert "all is well" in capsys.readouterr().out


def test_the_same_command_does_nothing(made, small, films):
  before = content(made)
  times = {p: p.stat().st_mtime_ns for p in made.rglob("*.array_record")}
  codec = ("--codec", tiny_release.folder(), "--captions", "1")
  assert run(small, films, made, *codec) == 0
  assert content(made) == before
  assert times == {
    p: p.stat().st_mtime_ns for p in made.rglob("*.array_record")
  }


@pytest.mark.parametrize(
  ("more", "names"),
  [
    (("--seconds", "3"), r"seconds \(2.0, not 3.0\)"),
    (("--shard-size", "3"), r"shard-size \(2, not 3\)"),
    (("--captions", "2"), r"captions \(1, not 2\)"),
    (("--sound-only",), "checkpoint .*sound-only"),
  ],
)
def test_other_settings_in_the_same_folder_are_refused(
  made, small, films, capsys, more, names
):
  before = content(made)
  codec = ("--codec", tiny_release.folder(), "--captions", "1")
  assert run(small, films, made, *codec, *more) == 2
  error = capsys.readouterr().err
  assert error.count("\n") == 1
  assert "give another --out" in error
  assert re.search(names, error)
  assert content(made) == before


def test_a_folder_of_something_else_is_refused(small, films, tmp_path, capsys):
  (tmp_path / "thesis.txt").write_text("all of it")
  assert run(small, films, tmp_path) == 2
  assert "is there already, and of no such run" in capsys.readouterr().err
  assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]


def test_four_workers_make_the_same_as_one(small, films, tmp_path):
  # One slice to check, in this process; four shards, in four.
  given = ("--shard-size", "3")
  assert run(small, films, tmp_path / "one", *given) == 0
  running = process(
    *arguments(small, films, tmp_path / "four", *given, "--workers", "4")
  )
  said, _ = running.communicate(timeout=300)
  assert running.returncode == 0, said
  assert "Traceback" not in said
  assert content(tmp_path / "four") == content(tmp_path / "one")


def test_a_run_that_is_killed_goes_on_with_the_same_bytes(
  small, films, tmp_path
):
  whole, killed = tmp_path / "whole", tmp_path / "killed"
  assert run(small, films, whole) == 0
  running = process(*arguments(small, films, killed))
  until = time.monotonic() + 120
  # In the middle of the shards: some are there, some are not.
  while len(list(killed.glob("*/*.array_record"))) < 2:
    assert time.monotonic() < until
    assert running.poll() is None
    time.sleep(0.002)
  os.killpg(running.pid, signal.SIGKILL)
  running.communicate()
  there = content(killed)
  assert "manifest.json" not in there
  # What is left of a shard that was being written.
  (killed / "train" / ".00002.abcdefgh.array_record").write_bytes(b"half")
  assert run(small, films, killed) == 0
  assert content(killed) == content(whole)
  for name, digest in there.items():
    if not name.rpartition("/")[2].startswith("."):
      assert content(whole)[name] == digest


def test_bad_clips_are_left_out_and_no_other(films, tmp_path, capsys):
  media = tmp_path / "media"
  shutil.copytree(films, media)
  shutil.copy(media / "0.mkv", media / "copy.mkv")
  shutil.copy(media / "5.mkv", media / "of test.mkv")
  (media / "text.mp4").write_text("no video")
  catalogue_samples.film(media / "still.mkv", seed=1, still=True)
  silence = np.zeros((70_560, 2), np.float32)
  catalogue_samples.film(media / "silent.mkv", seed=1, wave=silence)
  catalogue_samples.film(media / "twin.mkv", seed=20)
  bad = {
    "copy": "duplicate",
    "of test": "duplicate",
    "text": "unreadable",
    "still": "static",
    "silent": "silent",
    "gone": "missing",
    "twin": "leak",
  }
  index = catalogue_samples.index(
    tmp_path,
    {
      "train": [
        *(entry(i) for i in range(4)),
        *(
          entry(
            0,
            # An id of before the original's: that is kept all the same.
            id=f"zz {name}" if name == "copy" else f"a {name}",
            media=f"{name}.mp4" if name == "text" else f"{name}.mkv",
            source="source6" if name == "twin" else name,
            labels=("bad",),
          )
          for name in bad
        ),
      ],
      "test": [entry(5), entry(6)],
    },
  )
  out = tmp_path / "out"
  assert run(index, media, out) == prepare.LEFT_OUT
  said = capsys.readouterr().out.splitlines()
  assert said[-2] == (
    "7 left out: 2 duplicate, 1 leak, 1 missing, 1 silent, 1 static, "
    "1 unreadable"
  )
  assert "quarantine.json" in said[-1]
  rows = quarantine(out)
  assert {key[2:].strip(): row["reason"] for key, row in rows.items()} == bad
  assert rows["a of test"]["detail"] == "of clip5, the same file"
  assert sorted(by_id(out)) == [f"clip{i}-0" for i in (0, 1, 2, 3, 5, 6)]
  # The same as without them.
  good = catalogue_samples.index(
    tmp_path / "good",
    {"train": [entry(i) for i in range(4)], "test": [entry(5), entry(6)]},
  )
  assert run(good, media, tmp_path / "only good") == 0
  for split in ("train", "test"):
    for name in content(out / split):
      assert (out / split / name).read_bytes() == (
        tmp_path / "only good" / split / name
      ).read_bytes()
  assert (
    "| `static` | the picture never changes | 1 |"
    in (out / "README.md").read_text()
  )


def test_no_good_clip_is_refused(films, tmp_path, capsys):
  index = catalogue_samples.index(tmp_path, {"train": [entry(77)]})
  out = tmp_path / "out"
  assert run(index, films, out) == 2
  assert "no clip can be used: 1 missing" in capsys.readouterr().err
  assert quarantine(out)["clip77"]["reason"] == "missing"
  assert not (out / "manifest.json").exists()


def test_sound_alone_makes_records_without_pictures(films, small, tmp_path):
  assert run(small, films, tmp_path / "out", "--sound-only") == 0
  for record in by_id(tmp_path / "out").values():
    assert sorted(record.arrays) == [
      "events",
      "loudness",
      "loudness_times",
      "wave",
    ]


def test_records_are_seen(films, tmp_path):
  index = catalogue_samples.index(tmp_path, {"train": [entry(0)]})
  towers = (
    "--codec",
    tiny_release.folder(),
    "--predictor",
    tiny_heads.folder(),
  )
  assert run(index, films, tmp_path / "out", *towers) == 0
  (record,) = by_id(tmp_path / "out").values()
  assert len(record.arrays["pictures"]) == 24
  assert "frames" not in record.arrays


@pytest.mark.parametrize(
  ("more", "message"),
  [
    (("--seconds", "1"), "--seconds: 1 is not 2 to 3600"),
    (("--shard-size", "0"), "--shard-size: is below 1"),
    (("--workers", "0"), "--workers: is below 1"),
    (("--predictor", "x"), "--predictor: needs --codec"),
    (("--clip", "x"), "--clip: needs --codec"),
    (
      ("--sound-only", "--codec", "x", "--tower", "efficientnet-lite0"),
      "--sound-only: leaves --tower blind",
    ),
    (
      ("--codec", "x", "--predictor", "y", "--languagebind", "z"),
      "--predictor: sees frames, of which --clip and --languagebind leave none",
    ),
    (("--codec", "nowhere"), "nowhere: is not a vta release"),
    (("--source", "nowhere"), "nowhere: is no folder"),
    (("--index", "nowhere"), "nowhere: is no catalogue of"),
  ],
)
def test_bad_options_are_one_line(
  small, films, tmp_path, capsys, more, message
):
  assert run(small, films, tmp_path / "out", *more) == 2
  error = capsys.readouterr().err
  assert message in error
  assert error.count("\n") == 1
  assert not (tmp_path / "out").exists()


def test_what_fails_late_is_left_out(films, tmp_path, monkeypatch):
  index = catalogue_samples.index(
    tmp_path, {"train": [entry(0), entry(1), entry(2)]}
  )
  whole, encode = making.cutting.cut, making.encode.encode_records

  def cut(path, *args, **more):
    if path.name == "1.mkv":
      raise errors.InputError(path, "gone meanwhile")
    return whole(path, *args, **more)

  def encoded(some, **tools):
    for record in some:
      if record.meta["id"] == "clip2-0":
        raise errors.InputError("clip2-0", "is too much for a tower")
    return encode(some, **tools)

  monkeypatch.setattr(making.cutting, "cut", cut)
  monkeypatch.setattr(making.encode, "encode_records", encoded)
  out = tmp_path / "out"
  codec = ("--codec", tiny_release.folder(), "--captions", "1")
  assert run(index, films, out, *codec) == prepare.LEFT_OUT
  rows = quarantine(out)
  assert {key: row["detail"] for key, row in rows.items()} == {
    "clip1": "gone meanwhile",
    "clip2-0": "is too much for a tower",
  }
  assert {row["reason"] for row in rows.values()} == {"late"}
  assert list(by_id(out)) == ["clip0-0"]


def test_a_full_disk_is_one_line(small, films, tmp_path, capsys):
  # A file may not be larger: writing fails as it does on a full disk.
  soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
  resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))
  try:
    assert run(small, films, tmp_path / "out") == 2
  finally:
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
  last = capsys.readouterr().err.splitlines()[-1]
  assert last.startswith("error: ")
  assert "0.array_record: cannot write: " in last
  assert "File too large" in last
  assert not list((tmp_path / "out").rglob("*.array_record"))
  # And with room again it goes on.
  assert run(small, films, tmp_path / "out") == 0


def test_ties_between_sides_are_followed():
  # One file under the names of two sources; its other clips go with it.
  splits = {
    "train": [
      entry_lib.Entry(id="a", source="x", media="1", start=0.0, end=2.0),
      entry_lib.Entry(id="b", source="x", media="2"),
      entry_lib.Entry(id="c", source="z", media="3"),
    ],
    "validation": [entry_lib.Entry(id="e", source="w", media="2")],
    "test": [
      entry_lib.Entry(id="d", source="y", media="4", start=3.0, end=5.0)
    ],
  }
  rng = np.random.default_rng(0)
  found = {}
  for some in splits.values():
    for one in some:
      found[one.id] = checks_of(rng, one, {"1": "same", "4": "same"})
  made = plan.make(splits, found, shard_size=2)
  assert {one.id: one.reason for one in made.left_out} == {
    "a": "leak",
    "b": "leak",
    "e": "leak",
  }
  assert made.shards == {"train": [["c"]], "test": [["d"]]}


def checks_of(rng, one, digests):
  wave = np.cumsum(rng.normal(size=(88_200, 2)), axis=0).astype(np.float32)
  wave *= np.repeat(rng.uniform(0.01, 1, (49, 1)), 1800, axis=0) / 600
  return checks.Check(
    id=one.id,
    start=0.0,
    end=2.0,
    sha256=digests.get(one.media, one.media),
    content=fingerprint.of_clip(wave, None).text(),
  )
