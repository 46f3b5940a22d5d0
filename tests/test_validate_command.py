"""`vta validate` says of each kind of damage where it is."""

import hashlib
import json
import shutil

import numpy as np
import pytest

from vta import cli
from vta.data import records


def record(name, *, meta=None, **arrays):
  """A record of a second, as training takes it; `arrays` replace its own."""
  frames = (np.arange(15) / 15).astype(np.float32)
  own = {
    "wave": np.ones((44_100, 2), np.int16),
    "latent_mean": np.zeros((22, 8), np.float16),
    "latent_std": np.ones((22, 8), np.float16),
    "frame_times": frames,
    "loudness": np.full((6, 2), -20.0, np.float32),
    "loudness_times": ((np.arange(6) + 0.5) / 6).astype(np.float32),
    "events": np.array([[0.1, 0.4], [0.5, 1.0]], np.float32),
    "object_probability": np.zeros((15, 1), np.float16),
    "text_tokens": np.zeros((1, 3, 4), np.float16),
    "text_mask": np.ones((1, 3), bool),
  }
  known = {
    "id": name,
    "duration": 1.0,
    "captions": ["a ball"],
    "objects": ["ball"],
    "latent_rate": 21.53,
    "source": f"video {name}",
  }
  return records.Record(
    arrays=own | arrays, meta={**known, **({} if meta is None else meta)}
  )


def side(folder, *made):
  records.write_shards(folder, made, shard_size=2)
  return folder


def run(capsys, *folders):
  code = cli.main(["validate", *map(str, folders)])
  said = capsys.readouterr()
  return code, said.out, said.err


def test_what_is_well_is_counted(tmp_path, capsys):
  one = side(tmp_path / "train", *(record(f"a{i}") for i in range(5)))
  two = side(tmp_path / "test", record("b"))
  code, out, err = run(capsys, one, two)
  assert code == 0, err
  row = next(line for line in out.splitlines() if line.startswith(str(one)))
  assert row.split()[1:3] == ["3", "5"]
  assert "all is well" in out
  # Of a set as it was before records said so much.
  bare = record("c", meta={"latent_rate": None})
  old = records.Record(
    arrays={"wave": bare.arrays["wave"]}, meta={"id": "c", "duration": 1.0}
  )
  assert run(capsys, side(tmp_path / "old", old))[0] == 0


BAD = {
  "loudness: -20 to 3 LUFS": {"loudness": [[-20, 3]] * 6},
  "loudness: -80 to -20 LUFS": {"loudness": [[-20, -80]] * 6},
  "loudness_times: not increasing": {"loudness_times": [0, 1, 2, 2, 3, 4]},
  "loudness_times: 0 to 5 s, the clip has 1 s": {"loudness_times": range(6)},
  "frame_times: -0.5 to 0.9": {"frame_times": np.linspace(-0.5, 0.9, 15)},
  "events: reach beyond 0 to 1 s": {"events": [[0.5, 1.2]]},
  "events: intervals have no length": {"events": [[0.5, 0.5]]},
  "overlap": {"events": [[0.1, 0.6], [0.5, 0.7]]},
  "wave: 0.500 s, the clip has 1.000 s": {"wave": np.ones((22_050, 2))},
  "object_probability: not within 0 to 1": {
    "object_probability": np.full((15, 1), 2.0)
  },
  "object_probability: of 2 objects, meta names 1": {
    "object_probability": np.zeros((15, 2))
  },
  "text_mask: of 2 captions, meta has 1": {
    "text_tokens": np.zeros((2, 3, 4)),
    "text_mask": np.ones((2, 3)),
  },
  "latent_mean: 15 latents, the clip has 21.5": {
    "latent_mean": np.zeros((15, 8)),
    "latent_std": np.zeros((15, 8)),
  },
  "duration: 0 is no length": {"meta": {"duration": 0}},
}


@pytest.mark.parametrize("message", BAD)
def test_a_record_that_is_none_is_named(message, tmp_path, capsys):
  change = {
    name: value
    if name == "meta"
    else np.asarray(value, records.FIELDS[name][0])
    for name, value in BAD[message].items()
  }
  folder = side(
    tmp_path / "train",
    *(record(f"a{i}") for i in range(3)),
    record("bad", **change),
  )
  code, _, err = run(capsys, folder)
  assert code == 2
  (line,) = [row for row in err.splitlines() if row.startswith("error")]
  assert line.startswith(f"error: {folder}/00001.array_record: bad: ")
  assert message in line


def test_what_packing_would_refuse_is_found(tmp_path, capsys, monkeypatch):
  monkeypatch.setattr(records, "check", lambda _: None)
  nan = np.full((22, 8), np.nan, np.float16)
  folder = side(
    tmp_path / "train",
    record("a", latent_mean=nan),
    record("b", latent_mean=np.zeros((20, 8), np.float16)),
  )
  monkeypatch.undo()
  code, _, err = run(capsys, folder)
  assert code == 2
  assert "a: latent_mean: not finite" in err
  assert "b: latent_std: l is 22, elsewhere 20" in err


def test_ids_and_sources_are_compared_across_folders(tmp_path, capsys):
  one = side(tmp_path / "train", record("a"), record("b"))
  two = side(
    tmp_path / "test", record("a"), record("c", meta={"source": "video b"})
  )
  code, _, err = run(capsys, one, two)
  assert code == 2
  assert f"{two}/00000.array_record: a: its id is in {one}" in err
  assert f"c: its source 'video b' is on the side {one} too" in err


@pytest.fixture
def prepared(tmp_path):
  """A set as `data_prep.prepare` leaves it."""
  folder = tmp_path / "set"
  shards = {}
  for name in ("train", "test"):
    side(folder / name, *(record(f"{name}{i}") for i in range(3)))
    shards[name] = []
    for path in records.shards_of(folder / name):
      row = {
        "ids": [r.meta["id"] for r in records.Shards([path])],
        "sha256": digest(path),
      }
      path.with_suffix(".json").write_text(json.dumps(row))
      shards[name].append({"name": path.name, "sha256": row["sha256"]})
  (folder / "manifest.json").write_text(json.dumps({"shards": shards}))
  return folder


def digest(path):
  return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_prepared_set_is_all_its_splits(prepared, capsys):
  code, out, err = run(capsys, prepared)
  assert code == 0, err
  assert str(prepared / "train") in out
  assert str(prepared / "test") in out


def test_a_flipped_byte_is_found(prepared, capsys):
  path = prepared / "test" / "00000.array_record"
  content = bytearray(path.read_bytes())
  content[-len(content) // 4] ^= 255
  path.write_bytes(content)
  code, _, err = run(capsys, prepared)
  assert code == 2
  assert f"{path}: its digest is not that in 00000.json" in err


def test_half_a_shard_is_found(prepared, capsys):
  path = prepared / "test" / "00000.array_record"
  path.write_bytes(path.read_bytes()[:70_000])
  code, _, err = run(capsys, prepared)
  assert code == 2
  assert str(path) in err


def test_shards_that_lack_or_are_too_many_are_found(prepared, capsys):
  (prepared / "train" / "00001.array_record").unlink()
  code, _, err = run(capsys, prepared)
  assert code == 2
  assert "train/00001.array_record: is missing" in err
  shutil.copy(
    prepared / "test" / "00001.array_record",
    prepared / "train" / "00002.array_record",
  )
  _, _, err = run(capsys, prepared)
  assert "train/00002.array_record: is not in the manifest" in err
  assert "its id is in" in err


def test_another_shard_under_the_same_name_is_found(prepared, capsys):
  for suffix in (".array_record", ".json"):
    shutil.copy(
      prepared / f"test/00000{suffix}", prepared / f"train/00000{suffix}"
    )
  _, _, err = run(capsys, prepared / "train")
  assert "train/00000.array_record: its digest is not that in the man" in err
  # And a shard beside the document of another.
  shutil.copy(
    prepared / "test/00001.array_record", prepared / "test/00000.array_record"
  )
  _, _, err = run(capsys, prepared / "test")
  assert "test/00000.array_record: its ids are not those in 00000.json" in err


def test_half_a_shard_of_a_killed_run_is_no_shard(tmp_path, capsys):
  folder = side(tmp_path / "train", record("a"))
  (folder / ".00001.abcdefgh.array_record").write_bytes(b"half of one")
  assert run(capsys, folder)[0] == 0
  assert len(records.Shards([folder])) == 1


def test_no_shards_are_refused(tmp_path, capsys):
  code, _, err = run(capsys, tmp_path)
  assert code == 2
  assert "holds no *.array_record shard" in err
