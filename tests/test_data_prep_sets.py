"""Data sets as they are published, by way of a catalogue, to entries."""

import dataclasses
import json
import pathlib
import random
import shutil
import warnings

import pytest
import set_samples
import tensorflow_datasets as tfds
from set_entries import EXPECTED

from data_prep import index
from data_prep.sets import catalogue, disk, listing, sides
from data_prep.sets import entry as entry_lib
from vta import errors


def empty(path, seconds):
  path.write_bytes(b"")


def sample(name, folder):
  folder.mkdir()
  set_samples.SAMPLES[name](folder, empty)
  return folder


def run(*arguments):
  return index.main([str(argument) for argument in arguments])


def test_every_set_has_a_sample_and_says_what_it_is():
  assert set(index.SETS) == set(set_samples.SAMPLES) == set(EXPECTED)
  for kind in index.SETS.values():
    assert kind.description
    assert kind.licence


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_a_set_as_published_becomes_entries(name, tmp_path, capsys):
  splits, missing, unlisted = EXPECTED[name]
  source, out = sample(name, tmp_path / "set"), tmp_path / "deep" / "index"
  before = sorted(source.rglob("*"))
  assert run(name, "--source", source, "--out", out) == 0
  assert catalogue.read(out) == splits
  assert list(catalogue.read(out)) == list(splits)
  left = json.loads((out / "missing.json").read_text())
  assert left.pop("missing") == missing
  assert left.pop("unlisted") == unlisted
  assert left == {"torn": [], "filtered": []}
  assert catalogue.left_out(out).missing == missing
  about, kind = catalogue.about(out), index.SETS[name]
  assert about["name"] == name
  assert (about["licence"], about["homepage"]) == (kind.licence, kind.homepage)
  assert sorted(source.rglob("*")) == before
  told = capsys.readouterr().out
  for split, entries in splits.items():
    sources = len({one.source for one in entries})
    assert f"{split:<12}{len(entries):>10}{sources:>10}\n" in told
  assert f"{len(missing)} annotated, not on disk\n" in told
  assert f"{len(unlisted)} media that no annotation names\n" in told
  for licence in {one.licence for es in splits.values() for one in es}:
    assert licence in told


def test_the_same_files_make_the_same_bytes_and_others_take_their_place(
  tmp_path,
):
  source = sample("vggsound", tmp_path / "set")
  moved = tmp_path / "moved"
  shutil.copytree(source, moved)
  first, second = tmp_path / "first", tmp_path / "second"
  for one, out in ((source, first), (moved, second)):
    assert run("vggsound", "--source", one, "--out", out) == 0

  def held(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}

  assert held(first) == held(second)
  stamps = {path: path.stat().st_mtime_ns for path in first.iterdir()}
  assert run("vggsound", "--source", source, "--out", first) == 0
  assert stamps == {path: path.stat().st_mtime_ns for path in first.iterdir()}
  (source / "test" / "ccccccccc_3_000007.mp4").unlink()
  assert run("vggsound", "--source", source, "--out", first) == 0
  assert "test" not in catalogue.read(first)
  assert not list(first.glob("*-test.*"))


def test_what_is_not_whole_is_no_catalogue_and_the_next_run_mends_it(
  tmp_path, monkeypatch, capsys
):
  source, out = sample("vggsound", tmp_path / "set"), tmp_path / "index"
  write = catalogue.epath.Path(out).__class__.write_bytes

  def killed(path, data):
    if path.name == "dataset_info.json":
      raise KeyboardInterrupt
    return write(path, data)

  with monkeypatch.context() as patched:
    patched.setattr(catalogue.epath.Path(out).__class__, "write_bytes", killed)
    with pytest.raises(KeyboardInterrupt):
      run("vggsound", "--source", source, "--out", out)
  assert len(list(out.iterdir())) > 3
  with pytest.raises(errors.InputError, match="is no catalogue of"):
    catalogue.read(out)
  assert run("vggsound", "--source", source, "--out", out) == 0
  assert catalogue.read(out) == EXPECTED["vggsound"][0]
  with pytest.raises(errors.InputError, match="is no catalogue"):
    catalogue.read(source)


def test_a_folder_of_something_else_is_left_alone(tmp_path, capsys):
  source = sample("vggsound", tmp_path / "set")
  other = tmp_path / "other"
  other.mkdir()
  (other / "thesis.txt").write_text("all of it")
  assert run("vggsound", "--source", source, "--out", other) == 2
  assert "is there already and is no catalogue" in capsys.readouterr().err
  assert [path.name for path in other.iterdir()] == ["thesis.txt"]
  assert run("vggsound", "--source", tmp_path / "no", "--out", "unused") == 2
  assert "no: is no folder" in capsys.readouterr().err
  with pytest.raises(SystemExit) as stopped:
    run("nosuchset", "--source", source, "--out", other)
  assert stopped.value.code == 2


class Made(catalogue.Catalogue):
  """Clips by hand."""

  name = "made"

  def __init__(self, root, *, out, rows):
    self.rows = rows
    super().__init__(root, out=out)

  def annotated(self, disk):
    for number, (split, name, source, label) in enumerate(self.rows, 1):
      yield listing.Annotated(
        where=f"line {number}",
        split=split,
        names=(name,),
        entry=entry_lib.Entry(
          id=name, source=source, media="", labels=(label,)
        ),
      )


@pytest.mark.parametrize("seed", range(20))
def test_a_source_is_never_on_two_sides_and_nothing_is_lost(tmp_path, seed):
  draw = random.Random(seed)
  here = [f"c{i}" for i in range(30)]
  for name in here:
    (tmp_path / f"{name}.mp4").write_bytes(b"")
  splits = entry_lib.SPLITS if seed % 2 else ("train",)
  rows = []
  for i in range(40):  # ten of them are not on disk
    source = f"s{draw.randrange(12)}"
    side = draw.choice(splits)
    rows += [
      (side, f"c{i}", source, f"l{k}") for k in range(draw.randint(1, 3))
    ]
  draw.shuffle(rows)
  made = Made(tmp_path, out=tmp_path / "out", rows=rows).listing()
  on = {
    split: {one.source for one in entries}
    for split, entries in made.splits.items()
  }
  for split, sources in on.items():
    assert sources
    assert not sources & set().union(*(on[k] for k in on if k != split))
  assert seed % 2 or set(on) == {"train", "validation"}
  kept = [one.id for entries in made.splits.values() for one in entries]
  assert sorted(kept + list(made.torn)) == sorted(here)
  assert made.missing == [f"c{i}" for i in range(30, 40)]
  # What is torn has its source where more is held out.
  rank = {split: i for i, split in enumerate(entry_lib.SPLITS)}
  own = {name: (split, source) for split, name, source, _ in rows}
  for name in made.torn:
    split, source = own[name]
    assert any(source in on[k] for k in on if rank[k] > rank[split])


def test_what_another_set_tests_on_is_not_trained_on(tmp_path, capsys):
  audiocaps = sample("audiocaps", tmp_path / "audiocaps")
  table = audiocaps / "dataset" / "train.csv"
  table.write_text(f"{table.read_text()}103,ccccccccc_3,1,A bee\n")
  (audiocaps / "train" / "ccccccccc_3_1.wav").write_bytes(b"")
  source, held = sample("vggsound", tmp_path / "vggsound"), tmp_path / "held"
  assert run("vggsound", "--source", source, "--out", held) == 0
  arguments = ("audiocaps", "--source", audiocaps, "--out", tmp_path / "out")
  assert run(*arguments) == 0
  ids = [one.id for one in catalogue.read(tmp_path / "out")["train"]]
  assert ids == ["aaaaaaaaaa1_000130", "ccccccccc_3_000001"]
  # VGGSound tests on ccccccccc_3 and validates on aaaaaaaaaa1.
  capsys.readouterr()
  assert run(*arguments, "--apart-from", held) == 0
  assert list(catalogue.read(tmp_path / "out")) == ["validation", "test"]
  assert catalogue.left_out(tmp_path / "out").torn == ids
  assert "2 left out: their source" in capsys.readouterr().out
  assert run(*arguments, "--apart-from", tmp_path / "no") == 2


def test_rows_of_one_clip_are_joined_unless_they_disagree(tmp_path):
  (tmp_path / "a.mp4").write_bytes(b"")
  rows = [("train", "a", "s", "x"), ("train", "a", "s", "y")]
  made = Made(tmp_path, out=tmp_path / "out", rows=rows).listing()
  (one,) = made.splits["train"]
  assert one.labels == ("x", "y")
  rows.append(("train", "a", "t", "y"))
  with pytest.raises(
    errors.InputError, match=r"line 3: two rows of a disagree"
  ):
    Made(tmp_path, out=tmp_path / "out", rows=rows).listing()


def test_few_sources_change_sides_when_others_come():
  names = [f"{i}.mp4" for i in range(40)]
  held_out = sides.held_out(names, 0.15)
  assert len(held_out) == 6
  assert sides.held_out(names[::-1], 0.15) == held_out
  later = sides.held_out([*names, "more.mp4"], 0.15)
  assert len(later & held_out) >= 5
  assert len(sides.held_out(["a", "b"], 0.01)) == 1
  assert len(sides.held_out(["a", "b"], 0.99)) == 1
  with pytest.raises(ValueError, match="1 cannot be split"):
    sides.held_out(["a", "a"], 0.5)


def test_a_folder_needs_something_to_hold_out(tmp_path, capsys):
  (tmp_path / "a.mp4").write_bytes(b"")
  (tmp_path / "b.mp4").write_bytes(b"")
  (tmp_path / "captions.csv").write_text(
    "file,caption,source\na.mp4,x,walk\nb.mp4,x,walk\n"
  )
  out = tmp_path.parent / f"{tmp_path.name}-index"
  assert run("folder", "--source", tmp_path, "--out", out) == 2
  assert "2 or more are needed" in capsys.readouterr().err
  (tmp_path / "captions.csv").unlink()
  assert run("folder", "--source", tmp_path, "--out", out) == 0
  assert {k: len(v) for k, v in catalogue.read(out).items()} == {
    "train": 1,
    "validation": 1,
  }


def test_media_are_found_by_name_in_any_folder(tmp_path):
  for name in (
    "deep/er/x.mp4",
    "x.wav",
    "x.MKV",
    "a/48/7.mp3",
    "b/7.mp3",
    ".trash/x.mp4",
    "notes.txt",
  ):
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"")
  elsewhere = tmp_path.parent / f"{tmp_path.name}-elsewhere"
  elsewhere.mkdir()
  (elsewhere / "y.mp4").write_bytes(b"")
  (tmp_path / "linked").symlink_to(elsewhere)
  (elsewhere / "circle").symlink_to(tmp_path)
  found = disk.Disk(tmp_path)
  # Videos first, high before deep.
  assert found.matches("x") == ["x.MKV", "deep/er/x.mp4", "x.wav"]
  assert found.matches("48/7") == ["a/48/7.mp3"]
  assert found.matches("8/7") == []
  assert found.matches("b/7.mp3") == ["b/7.mp3"]
  assert found.matches("y") == ["linked/y.mp4"]
  assert len(found.media) == 6


@pytest.mark.parametrize("name", ["a b", "ä", "a/b", "..", "-x", "a.mp4"])
def test_an_id_is_of_safe_letters_and_says_who_it_was(name):
  made = entry_lib.safe_id(name)
  assert set(made) <= set(
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"
  )
  assert entry_lib.safe_id(made) == made
  assert (made == name) == (name in {"..", "-x", "a.mp4"})


def test_an_entry_s_fields_come_back_to_the_last_bit(tmp_path):
  start = 3600.1234567890123
  one = entry_lib.Entry(
    id="x",
    source="s",
    media="ä/x.mp4",
    start=start,
    end=start + 1 / 3,
    captions=("", 'ß, \n"q"'),
    events=(entry_lib.Event(start=1 / 3, end=2 / 3, label="l"),),
    licence="CC",
  )

  class Whole(Made):
    name = "whole"

    def listing(self):
      return listing.Listing(splits={"train": [one]})

  catalogue.publish(
    lambda out: Whole(tmp_path, out=out, rows=()), tmp_path / "out"
  )
  assert catalogue.read(tmp_path / "out") == {"train": [one]}
  # As TFDS itself reads it.
  with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
    builder = tfds.builder_from_directory(tmp_path / "out")
    theirs = builder.as_data_source()["train"][0]
  assert theirs.keys() == {field.name for field in dataclasses.fields(one)}
  assert (theirs["start"], theirs["end"]) == (one.start, one.end)
  assert [text.decode() for text in theirs["captions"]] == list(one.captions)
  assert list(theirs["events"]["start"]) == [1 / 3]


def test_the_path_may_be_a_string_or_a_path(tmp_path):
  source = sample("bbc", tmp_path / "set")
  index.index(index.SETS["bbc"], str(source), str(tmp_path / "out"))
  assert catalogue.read(str(tmp_path / "out")) == catalogue.read(
    pathlib.Path(tmp_path / "out")
  )
