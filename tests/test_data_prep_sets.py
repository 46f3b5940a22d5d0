"""Data sets as they are published, by way of a catalogue, to entries."""

import dataclasses
import json
import pathlib
import random
import shutil

import pytest
import set_samples

from data_prep import index
from data_prep.sets import catalogue, disk, sides
from data_prep.sets import entry as entry_lib
from vta import errors

BY = "http://creativecommons.org/licenses/by/3.0/"
BY_SA = "http://creativecommons.org/licenses/by-sa/3.0/"
ZERO = "http://creativecommons.org/publicdomain/zero/1.0/"


def empty(path, seconds):
  path.write_bytes(b"")


def clip(name, source, media, *, events=(), **rest):
  made = tuple(
    entry_lib.Event(start=start, end=end, label=label)
    for start, end, label in events
  )
  return entry_lib.Entry(
    id=name, source=source, media=media, events=made, **rest
  )


CONTACTS = {
  "labels": ("wood hit", "hit", "leaf scratch"),
  "events": (
    (0.25, 0.25, "wood hit"),
    (0.75, 0.75, "hit"),
    (1.25, 1.25, "leaf scratch"),
  ),
}
DOOR = {
  "captions": ("a wooden door slams",),
  "labels": ("Doors Windows",),
  "events": ((0.25, 0.5, "Doors Windows"), (1.0, 1.5, "Doors Windows")),
  "licence": "CC0-1.0",
}
BALL = "bouncing ball (not juggling)"
# Of each sample: the entries by split, what is missing, what is unlisted.
EXPECTED = {
  "audiocaps": (
    {
      "train": [
        clip(
          "aaaaaaaaaa1_000130",
          "aaaaaaaaaa1",
          "train/Yaaaaaaaaaa1.wav",
          captions=("A dog barks, then rain falls",),
        )
      ],
      "validation": [
        clip(
          "bbbbbbbbbb2_000020",
          "bbbbbbbbbb2",
          "val/bbbbbbbbbb2_20.wav",
          captions=tuple(f"Rain falls {i}" for i in range(5)),
        )
      ],
      "test": [
        clip(
          "cccccccccc3_000005",
          "cccccccccc3",
          "test/303.wav",
          captions=tuple(f"A bell rings {i}" for i in range(5)),
        )
      ],
    },
    ["ddddddddd-4_000000"],
    ["test/stray.wav"],
  ),
  "audioset": (
    {
      "train": [
        clip(
          "--bbbbbbbb2_0",
          "--bbbbbbbb2",
          "unbalanced/--bbbbbbbb2_0_10.mp4",
          labels=("Bark, of a dog",),
        )
      ],
      "validation": [
        clip(
          "aaaaaaaaaa1_30000",
          "aaaaaaaaaa1",
          "balanced/Yaaaaaaaaaa1.mp4",
          labels=("Bark, of a dog", "Rain"),
        )
      ],
      "test": [
        clip(
          "ccccccccc_3_5000",
          "ccccccccc_3",
          "eval/ccccccccc_3_5.000_12.500.mp4",
          labels=("Rain",),
        )
      ],
    },
    ["ddddddddd-4_10000"],
    ["eval/stray.mp4"],
  ),
  "audioset_strong": (
    {
      "train": [
        clip(
          "aaaaaaaaa_1_30000",
          "aaaaaaaaa_1",
          "aaaaaaaaa_1_30000.mp4",
          labels=("Bark", "Rain (on roof)"),
          events=(
            (0.627, 1.237, "Bark"),
            (0.5, 0.75, "Rain (on roof)"),
            (1.5, 1.75, "Bark"),
          ),
        )
      ],
      "validation": [
        clip(
          "bbbbbbbbbb2_0",
          "bbbbbbbbbb2",
          "bbbbbbbbbb2_000000.mp4",
          labels=("Bark",),
          events=((0.0, 2.0, "Bark"),),
        )
      ],
      "test": [
        clip(
          "cccccccccc3_20000",
          "cccccccccc3",
          "Ycccccccccc3_20.000_30.000.mp4",
          labels=("Rain (on roof)",),
          events=((0.0, 1.0, "Rain (on roof)"),),
        )
      ],
    },
    ["ddddddddd-4_0"],
    ["stray.mp4"],
  ),
  "bbc": (
    {
      "train": [
        clip(
          "07000002",
          "07000002",
          "sounds/A/Door _ slam.07000002.wav",
          captions=("Door / slam",),
        )
      ],
      "validation": [
        clip(
          "07000001",
          "07000001",
          "07000001.wav",
          captions=("Footsteps: on gravel, slow",),
          labels=("Feet: Gravel",),
        )
      ],
    },
    ["07000003"],
    ["sounds/stray.wav"],
  ),
  "common_voice": (
    {
      split: [
        clip(
          f"common_voice_eo_{i}",
          speaker,
          f"cv-corpus/eo/clips/common_voice_eo_{i}.mp3",
        )
        for speaker, i in own
      ]
      for split, own in {
        "train": (("speaker1", 1), ("speaker1", 2)),
        "validation": (("speaker2", 3),),
        "test": (("speaker3", 4),),
      }.items()
    },
    ["common_voice_eo_9"],
    ["cv-corpus/eo/clips/common_voice_eo_100.mp3"],
  ),
  "cond_prompt_bank": (
    {
      "train": [
        clip("door_1-b222c10d", "door 1", "sounds/door1.wav", **DOOR),
        clip("door_2-cd70b18b", "door 2", "sounds/door2.wav", **DOOR),
      ],
      "validation": [
        clip("door_0-8df8b681", "door 0", "sounds/door0.wav", **DOOR)
      ],
    },
    ["door_3-4cbae5e8"],
    ["sounds/door9.wav"],
  ),
  "countix_av": (
    {
      "train": [
        clip(
          "aaaaaaaaaa1_000017_000027",
          "aaaaaaaaaa1",
          "train/aaaaaaaaaa1_000017_000027.mp4",
          labels=(BALL,),
          events=((0.0, 0.5, BALL), (1.0, 1.75, BALL)),
        )
      ],
      "validation": [
        clip(
          "bbbbbbbbbb2_000000_000010",
          "bbbbbbbbbb2",
          "val/bbbbbbbbbb2.mp4",
          labels=("clapping",),
          events=((0.25, 1.5, "clapping"),),
        )
      ],
      "test": [
        clip(
          "cccccccccc3_000005_000015",
          "cccccccccc3",
          "test/cccccccccc3_000005_000015.mp4",
          events=((0.5, 1.5, ""),),
        )
      ],
    },
    ["ddddddddd-4_000000_000010"],
    ["test/stray.mp4"],
  ),
  "favdbench": (
    {
      split: [
        clip(
          name,
          name,
          f"videos/{folder}/{name}.mp4",
          captions=(f'A "{name}" rings. It is loud.',),
        )
      ]
      for split, folder, name in (
        ("train", "train", "clip_a1"),
        ("validation", "val", "clip_b2"),
        ("test", "test", "clip_c3"),
      )
    },
    ["clip_gone"],
    ["videos/stray.mp4"],
  ),
  "folder": (
    {
      "train": [
        clip(
          "a.mp4",
          "walk",
          "a.mp4",
          captions=("a dog barks", "a dog, and rain"),
          labels=("dog", "rain"),
        ),
        clip("below_b.mp4-ecc37366", "walk", "below/b.mp4", captions=("rain",)),
        clip("d.mp4", "d.mp4", "d.mp4"),
      ],
      "validation": [clip("e__.mp4-4de26900", "e é.mp4", "e é.mp4")],
      "test": [clip("c.wav", "c.wav", "c.wav", captions=("a bell",))],
    },
    [],
    [],
  ),
  "fsd50k": (
    {
      "train": [
        clip(
          "1001",
          "1001",
          "FSD50K.dev_audio/1001.wav",
          labels=("Electric guitar", "Music"),
          licence=BY,
        )
      ],
      "validation": [
        clip(
          "1002",
          "1002",
          "FSD50K.dev_audio/1002.wav",
          labels=("Rain",),
          licence=ZERO,
        )
      ],
      "test": [
        clip(
          "1003",
          "1003",
          "FSD50K.eval_audio/1003.wav",
          labels=("Rain", "Water"),
          licence=BY,
        )
      ],
    },
    ["1009"],
    ["FSD50K.eval_audio/9999.wav"],
  ),
  "greatest_hits": (
    {
      split: [
        clip(
          f"2015-02-16-16-49-0{i}",
          f"2015-02-16-16-49-0{i}",
          f"vis-data/2015-02-16-16-49-0{i}_denoised.mp4",
          **CONTACTS,
        )
      ]
      for i, split in ((1, "train"), (0, "validation"), (2, "test"))
    },
    ["2015-02-16-16-49-03"],
    ["vis-data/stray.mp4"],
  ),
  "hd_vila": (
    {
      "train": [
        clip(
          "bbbbbbbbbb2.0",
          "bbbbbbbbbb2",
          "video_clips/bbbbbbbbbb2/bbbbbbbbbb2.0.mp4",
        )
      ],
      "validation": [
        clip(
          f"aaaaaaaaaa1.{i}",
          "aaaaaaaaaa1",
          "download_videos/aaaaaaaaaa1.mp4",
          start=start,
          end=end,
        )
        for i, start, end in ((0, 0.0, 1.25), (1, 1.25, 2.0))
      ],
    },
    ["bbbbbbbbbb2.1", "ddddddddd-4"],
    ["video_clips/stray.mp4"],
  ),
  "mtg_jamendo": (
    {
      "train": [
        clip(
          "track_0000948",
          "artist_000087",
          "raw_30s/audio/48/948.mp3",
          labels=("rock", "guitar", "happy"),
          licence=BY,
        )
      ],
      "validation": [
        clip(
          "track_0001950",
          "artist_000089",
          "raw_30s/audio-low/50/1950.low.mp3",
          labels=("jazz",),
          licence=BY_SA,
        )
      ],
      "test": [
        clip(
          "track_0001951",
          "artist_000090",
          "raw_30s/audio-low/51/1951.low.mp3",
          labels=("folk",),
        )
      ],
    },
    ["track_0000949"],
    ["raw_30s/audio/99/999.mp3"],
  ),
  "urbansound8k": (
    {
      "train": [
        clip(
          f"1001-3-0-{i}",
          "1001",
          f"audio/fold5/1001-3-0-{i}.wav",
          labels=("dog bark",),
        )
        for i in (0, 1)
      ],
      "validation": [
        clip(
          "1002-5-0-0",
          "1002",
          "audio/fold9/1002-5-0-0.wav",
          labels=("engine idling",),
        )
      ],
      "test": [
        clip(
          "1003-8-0-0",
          "1003",
          "audio/fold10/1003-8-0-0.wav",
          labels=("siren",),
        )
      ],
    },
    ["1004-8-0-0"],
    ["audio/fold10/stray.wav"],
  ),
  "valor": (
    {
      split: [
        clip(
          name,
          name[:11],
          f"videos/{name}.mp4",
          captions=(f"A dog in {published} barks.",),
        )
      ]
      for split, published, name in (
        ("train", "train", "aaaaaaaaa_1_30.000_40.000"),
        ("validation", "val", "bbbbbbbbbb2_0.000_10.000"),
        ("test", "test", "cccccccccc3_5.000_15.000"),
      )
    },
    ["ddddddddd-4_0.000_10.000"],
    ["videos/stray.mp4"],
  ),
  "vggsound": (
    {
      "train": [
        clip(
          "-bbbbbbbbb2_000230",
          "-bbbbbbbbb2",
          "train/-bbbbbbbbb2_000230.mp4",
          labels=("raining",),
        )
      ],
      "validation": [
        clip(
          f"aaaaaaaaaa1_0000{start}",
          "aaaaaaaaaa1",
          f"train/aaaaaaaaaa1_0000{start}.mp4",
          labels=("dog barking",),
        )
        for start in ("01", "30")
      ],
      "test": [
        clip(
          "ccccccccc_3_000007",
          "ccccccccc_3",
          "test/ccccccccc_3_000007.mp4",
          labels=("bee, wasp, etc. buzzing",),
        )
      ],
    },
    ["ddddddddd-4_000007"],
    ["test/stray.mp4"],
  ),
  "vidal": (
    {
      "train": [
        clip(
          "bbbbbbbbbb2",
          "bbbbbbbbbb2",
          "coco_vat_1/bbbbbbbbbb2.mp4",
          captions=("polished",),
        ),
        clip(
          "cccccccccc3",
          "cccccccccc3",
          "coco_vat_2/cccccccccc3.mp4",
          captions=("plain",),
        ),
      ],
      "validation": [
        clip(
          "aaaaaaaaaa1",
          "aaaaaaaaaa1",
          "coco_vat_1/aaaaaaaaaa1.mp4",
          captions=("splash",),
        )
      ],
    },
    ["ddddddddd-4"],
    ["coco_vat_2/stray.mp4"],
  ),
}


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
  assert left == {"missing": missing, "unlisted": unlisted, "torn": []}
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


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_a_set_without_media_is_refused(name, tmp_path, capsys):
  source = tmp_path / "set"
  source.mkdir()
  set_samples.SAMPLES[name](source, lambda path, seconds: None)
  out = tmp_path / "index"
  assert run(name, "--source", source, "--out", out) == 2
  (line,) = capsys.readouterr().err.strip().splitlines()[-1:]
  assert line.startswith(f"error: {source}: holds no ")
  assert not out.exists()


@pytest.mark.parametrize("name", sorted(set(EXPECTED) - {"folder"}))
def test_a_set_without_annotations_is_refused(name, tmp_path, capsys):
  (tmp_path / "some.mp4").write_bytes(b"")
  assert run(name, "--source", tmp_path, "--out", tmp_path / "index") == 2
  (line,) = capsys.readouterr().err.strip().splitlines()[-1:]
  assert line.startswith(f"error: {tmp_path}: ")
  assert "is there" in line or "not there" in line


# A file of a set, what is replaced in it by what, and what is said of it.
WRONG = [
  ("vggsound", "vggsound.csv", ",1,", ",one,", "line 1: start: 'one' is no"),
  ("vggsound", "vggsound.csv", ",230,", ",-2,", "line 3: start: '-2' is no"),
  ("vggsound", "vggsound.csv", "test", "tset", "line 4: split: 'tset' is none"),
  ("vggsound", "vggsound.csv", "raining", "", "line 3: label: is empty"),
  (
    "vggsound",
    "vggsound.csv",
    ",gone,train",
    "",
    "line 5: label: the row ends",
  ),
  (
    "vggsound",
    "vggsound.csv",
    "raining",
    "rain,ing",
    "line 3: has 5 cells, not 4",
  ),
  (
    "audioset",
    "eval_segments.csv",
    "12.500",
    "2.500",
    "line 4: end_seconds: 2.5 is before the start, 5",
  ),
  (
    "audioset",
    "eval_segments.csv",
    "/t/dd0two",
    "/t/dd0",
    "line 4: positive_labels: '/t/dd0' is no label that has a name",
  ),
  (
    "audioset_strong",
    "audioset_eval_strong.tsv",
    "3_20000",
    "3-20s",
    "line 2: segment_id: 'cccccccccc3-20s' is no <video>_<start>",
  ),
  (
    "audiocaps",
    "dataset/val.csv",
    "caption\n",
    "text\n",
    "line 1: caption: there is no such column",
  ),
  (
    "audiocaps",
    "dataset/val.csv",
    "Rain falls 3",
    '""',
    "line 5: caption: is empty",
  ),
  ("valor", "desc_val.json", '"desc"', '"text"', "[0]: desc: is empty"),
  ("valor", "desc_val.json", "[{", "{", "cannot be read"),
  (
    "vidal",
    "id2title_folder_caps.json",
    '"coco_vat_2"',
    "2",
    "cccccccccc3: folder: 2 is no text",
  ),
  ("bbc", "BBCSoundEffects.csv", ",12,", ",long,", "line 2: secs: 'long' is"),
  (
    "favdbench",
    "metadata/val.caption.tsv",
    "[{",
    "{",
    "line 1: captions: is no JSON",
  ),
  (
    "favdbench",
    "metadata/val.caption.tsv",
    "caption",
    "text",
    "line 1: captions: caption: is empty",
  ),
  (
    "hd_vila",
    "metafiles/meta_part0.jsonl",
    "01:01:02.750",
    "61.5",
    "line 2: clip[1]: span: '61.5' is no hh:mm:ss.sss",
  ),
  (
    "hd_vila",
    "metafiles/meta_part0.jsonl",
    "01:01:02.750",
    "00:00:02.750",
    "line 2: clip[1]: span: ends at 2.75 s, before it starts",
  ),
  (
    "greatest_hits",
    "vis-data/2015-02-16-16-49-01_times.txt",
    "0.750000",
    "never",
    "line 2: time: 'never' is no number",
  ),
  (
    "greatest_hits",
    "vis-data/2015-02-16-16-49-01_times.txt",
    " static",
    "",
    "line 1: reaction: the row ends before this column",
  ),
  (
    "countix_av",
    "CountixAV_val.csv",
    "0.250000,1.5",
    "0.250000,11.5",
    "line 2: repetition_start: is not within the clip",
  ),
  (
    "fsd50k",
    "FSD50K.ground_truth/dev.csv",
    ",val",
    ",test",
    "line 3: split: 'test' is none of train, val",
  ),
  (
    "fsd50k",
    "FSD50K.metadata/eval_clips_info_FSD50K.json",
    '"license"',
    '"licence"',
    "1003: license: is empty",
  ),
  (
    "urbansound8k",
    "metadata/UrbanSound8K.csv",
    ",1,10,8,",
    ",1,11,8,",
    "line 5: fold: '11' is none of",
  ),
  (
    "mtg_jamendo",
    "data/splits/split-0/autotagging-test.tsv",
    "200.0",
    "nan",
    "line 2: DURATION: 'nan' is no number",
  ),
  (
    "common_voice",
    "cv-corpus/eo/dev.tsv",
    "client_id",
    "client",
    "line 1: client_id: there is no such column",
  ),
  (
    "cond_prompt_bank",
    "cond_prompt_bank.jsonl",
    "[0.25, 0.5]",
    "[0.25]",
    "line 1: events[0]: must be [start, end]",
  ),
  (
    "folder",
    "captions.csv",
    "c.wav",
    "x.wav",
    "line 5: file: there is no 'x.wav'",
  ),
  ("folder", "captions.csv", ",test", ",tset", "line 5: split: 'tset' is none"),
  (
    "folder",
    "captions.csv",
    "file,caption",
    "file;caption",
    "line 1: file: there is no such column",
  ),
]


@pytest.mark.parametrize(
  ("name", "file", "right", "wrong", "message"),
  WRONG,
  ids=lambda value: value[:24],
)
def test_a_wrong_row_is_named(
  tmp_path, capsys, name, file, right, wrong, message
):
  source, out = sample(name, tmp_path / "set"), tmp_path / "index"
  text = (source / file).read_text()
  assert right in text
  (source / file).write_text(text.replace(right, wrong, 1))
  assert run(name, "--source", source, "--out", out) == 2
  (line,) = capsys.readouterr().err.strip().splitlines()[-1:]
  assert line.startswith(f"error: {source / file}: {message}"), line
  assert not out.exists()


def test_a_table_that_is_no_text_is_refused(tmp_path, capsys):
  source = sample("vggsound", tmp_path / "set")
  (source / "vggsound.csv").write_bytes(b"\xff\xfe\x00")
  assert run("vggsound", "--source", source, "--out", tmp_path / "i") == 2
  assert "vggsound.csv: cannot be read" in capsys.readouterr().err


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
  with pytest.raises(errors.InputError, match="dataset_info.json is not"):
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
      yield catalogue.Annotated(
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
      return catalogue.Listing(splits={"train": [one]})

  catalogue.publish(
    lambda out: Whole(tmp_path, out=out, rows=()), tmp_path / "out"
  )
  assert catalogue.read(tmp_path / "out") == {"train": [one]}
  assert dataclasses.astuple(catalogue.read(tmp_path / "out")["train"][0])


def test_the_path_may_be_a_string_or_a_path(tmp_path):
  source = sample("bbc", tmp_path / "set")
  index.index(index.SETS["bbc"], str(source), str(tmp_path / "out"))
  assert catalogue.read(str(tmp_path / "out")) == catalogue.read(
    pathlib.Path(tmp_path / "out")
  )
