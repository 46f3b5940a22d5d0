"""Mixtures: the paper's counts, and weights in proportion to them."""

import json

import pytest

from data_prep import index, mixtures


def prepared(folder, name, **clips):
  folder.mkdir(parents=True)
  manifest = {
    "set": {"name": name},
    "splits": {split: {"clips": count} for split, count in clips.items()},
  }
  (folder / "manifest.json").write_text(json.dumps(manifest))
  return str(folder)


def test_mm_v2a_is_the_paper_s_table():
  parts = {part.name: part for part in mixtures.MM_V2A.parts}
  assert set(parts) <= set(index.SETS)
  counts = {name: part.clips for name, part in parts.items()}
  # Table 1 gives 474.2K with pictures and 505.3K in all, rounded.
  seen = sum(c for name, c in counts.items() if parts[name].pictures)
  assert seen == pytest.approx(474_200, abs=100)
  assert sum(counts.values()) == pytest.approx(505_300, abs=100)
  capped = {name for name, part in parts.items() if part.longest == 10.0}
  assert capped == {"vggsound", "valor", "audioset", "favdbench"}
  assert mixtures.MM_V2A.shortest == 5.0
  assert {part.name for part in mixtures.CODEC.parts} <= set(index.SETS)


def test_weights_are_the_paper_s_whatever_has_vanished(tmp_path, capsys):
  folders = [
    prepared(tmp_path / "v", "vggsound", train=900, test=95),
    prepared(tmp_path / "b1", "bbc", train=30, validation=5),
    prepared(tmp_path / "b2", "bbc", train=10),
  ]
  assert mixtures.main(["mm_v2a", *folders]) == 0
  told = capsys.readouterr().out
  line = next(x for x in told.splitlines() if x.startswith("data.train = "))
  pairs = eval(line.removeprefix("data.train = "))
  assert [folder for folder, _ in pairs] == [f"{x}/train" for x in folders]
  assert [weight for _, weight in pairs] == [199_000, 23_325, 7_775]
  (row,) = (x.split() for x in told.splitlines() if x.startswith("vggsound"))
  assert row == ["vggsound", "5-10", "s", "199,000", "995", "0.5%", "86.5%"]
  (row,) = (x.split() for x in told.splitlines() if x.startswith("valor"))
  assert row == ["valor", "5-10", "s", "25,300", "0", "0.0%", "0.0%"]
  (row,) = (x.split() for x in told.splitlines() if x.startswith("all"))
  assert row == ["all", "505,300", "1,040", "0.2%", "100.0%"]


def test_the_codec_draws_from_what_there_is(tmp_path):
  read = mixtures.Prepared.read
  made = [
    read(tmp_path / name)
    for name, count in (("fsd50k", 300), ("common_voice", 100))
    if prepared(tmp_path / name, name, train=count)
  ]
  assert [w for _, w in mixtures.weights(mixtures.CODEC, made)] == [300, 100]
  assert "996,033" in mixtures.table(mixtures.CODEC, made)


@pytest.mark.parametrize(
  ("manifest", "message"),
  [
    (None, "is no manifest of `python -m data_prep.prepare`"),
    ("{", "is no manifest"),
    ('{"set": {"name": "bbc"}, "splits": []}', "is no manifest"),
    ('{"set": {"name": "bbc"}, "splits": {}}', "no clip is to train on"),
    (
      '{"set": {"name": "folder"}, "splits": {"train": {"clips": 2}}}',
      "folder is none of the sets vggsound, valor",
    ),
  ],
)
def test_what_is_not_prepared_is_refused(tmp_path, capsys, manifest, message):
  if manifest:
    (tmp_path / "manifest.json").write_text(manifest)
  assert mixtures.main(["mm_v2a", str(tmp_path)]) == 2
  (line,) = capsys.readouterr().err.splitlines()
  assert line.startswith(f"error: {tmp_path}")
  assert message in line
