"""Sets that are wrong or not there: one line that names the place."""

import pytest
import set_samples
from set_entries import EXPECTED

from data_prep import index


def empty(path, seconds):
  path.write_bytes(b"")


def sample(name, folder):
  folder.mkdir()
  set_samples.SAMPLES[name](folder, empty)
  return folder


def run(*arguments):
  return index.main([str(argument) for argument in arguments])


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
    "c.mp4",
    "x.mp4",
    "line 5: file: there is no 'x.mp4'",
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
