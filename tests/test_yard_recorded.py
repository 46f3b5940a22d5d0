"""The yard with recorded effects: in place, and each in one split only."""

import dataclasses
import json
import os

import numpy as np
import pytest
import soundfile
from effect_samples import RATE, SPLITS, entry, name_in, noise, save

from vta import cli
from vta.data import records, yard
from vta.data.yard import modal, recordings, things
from vta.data.yard import record as record_lib
from vta.media import write


def scene_with(thing, *, split="train", material=...):
  """A scene whose only source is of that thing, sounding from contacts."""
  for index in range(2000):
    staged = yard.sample_scene(3, index, split=split, duration=2.0)
    for source in staged.sources:
      fits = material is ... or source.material == material
      if source.thing == thing and fits:
        return dataclasses.replace(staged, sources=(source,))
  raise AssertionError("no scene")


def test_splits_hear_recordings_of_their_own(tmp_path):
  folder = save(tmp_path / "r", *(entry(f"{n}.wav") for n in range(40)))
  library = recordings.load(folder)
  heard = {
    split: {
      wave.tobytes()
      for waves in recordings.waves(library, split).values()
      for wave in waves
    }
    for split in (*SPLITS, "combination")
  }
  assert all(heard.values())
  assert heard["combination"] == heard["test"]
  assert sum(len(heard[split]) for split in SPLITS) == 40
  assert len(set.union(*heard.values())) == 40


def test_a_contact_is_the_recording_at_its_place_times_its_gain(tmp_path):
  name = name_in("train")
  folder = save(tmp_path / "r", entry(name), waves={name: noise(5)})
  library = recordings.load(folder)
  staged = scene_with("stick")
  (source,) = staged.sources
  heard = yard.render_sound(
    staged, recordings=recordings.waves(library, "train")
  )
  mono = noise(5).mean(axis=1)
  dry = np.zeros(len(heard.wave))
  for contact, strength in zip(source.contacts, source.strengths, strict=True):
    at = round(contact * RATE)
    strike = modal.level(mono, rate=RATE)[: len(dry) - at] * strength**1.5
    dry[at : at + len(strike)] += strike
  times = np.arange(len(dry)) / RATE
  reference = things.THINGS["stick"].reference
  level = 10 ** (source.level_db / 20)
  level = level * reference / staged.place(source, times).distance
  angle = (staged.pan(source, times) + 1.0) * np.pi / 4
  panned = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
  expected = dry[:, None] * level[:, None] * panned
  expected *= min(1.0, 0.9 / np.abs(expected).max())
  assert np.abs(expected).max() > 0.01
  # Gains are interpolated between points 10 ms apart.
  np.testing.assert_allclose(
    heard.wave, expected, atol=2e-3 * np.abs(expected).max()
  )


def test_a_lasting_thing_loops_its_recordings():
  staged = scene_with("stream")
  (source,) = staged.sources
  # Of different lengths, none of them that of the clip.
  takes = [noise(n, samples=1000 + n)[:, :1] for n in range(3)]
  heard = yard.render_sound(staged, recordings={("stream", None): takes})
  start, end = np.round(source.intervals[0] * RATE).astype(int)
  # Without the fades at both ends.
  inner = slice(start + 4410, end - 4410)
  matches = [
    np.corrcoef(
      heard.wave[inner].sum(axis=-1),
      np.resize(take, end)[inner.start - start : inner.stop - start],
    )[0, 1]
    for take in takes
  ]
  assert max(matches) > 0.99


def test_a_recording_of_a_material_is_of_no_other(tmp_path):
  name = name_in("train")
  folder = save(tmp_path / "r", entry(name, material="drum skin"))
  library = recordings.load(folder)
  waves = recordings.waves(library, "train")
  drum = scene_with("stick", material="drum skin")
  wood = scene_with("stick", material="wood")
  assert np.array_equal(
    yard.render_sound(wood, recordings=waves).wave,
    yard.render_sound(wood).wave,
  )
  assert not np.array_equal(
    yard.render_sound(drum, recordings=waves).wave,
    yard.render_sound(drum).wave,
  )
  assert recordings.credits(library, "train", list(wood.sources)) == []
  assert len(recordings.credits(library, "train", list(drum.sources))) == 1


@pytest.mark.parametrize("split", SPLITS)
def test_a_split_without_a_recording_is_synthesised(tmp_path, split):
  name = name_in("train")
  library = recordings.load(save(tmp_path / "r", entry(name)))
  staged = scene_with("stick", split=split)
  record = record_lib.record(staged, pictures=False, recordings=library)
  plain = record_lib.record(staged, pictures=False)
  same = np.array_equal(record.arrays["wave"], plain.arrays["wave"])
  assert same == (split != "train")
  assert bool(record.meta["recordings"]) == (split == "train")
  assert plain.meta["recordings"] == []


def test_a_masked_record_lists_what_is_under_its_mask(tmp_path):
  scenes = (yard.sample_scene(4, index) for index in range(500))
  staged = next(s for s in scenes if len({x.thing for x in s.sources}) > 1)
  names = [name_in("train", stem=f"{s.thing}-") for s in staged.sources]
  folder = save(
    tmp_path / "r",
    *(
      entry(name, thing=source.thing, licence="CC-BY-4.0", attribution="Jo")
      for name, source in zip(names, staged.sources, strict=True)
    ),
  )
  library = recordings.load(folder)
  options = {"pictures": False, "recordings": library}
  whole = record_lib.record(staged, **options)
  part = record_lib.record(staged, heard=[1], **options)
  told = {"file": names[1], "licence": "CC-BY-4.0", "attribution": "Jo"}
  assert part.meta["recordings"] == [told]
  assert {r["file"] for r in whole.meta["recordings"]} == set(names)


@pytest.fixture
def effects(tmp_path):
  """A folder with a recording of everything, heard in training."""
  return save(
    tmp_path / "effects",
    *(
      entry(name_in("train", stem=f"{thing}-"), thing=thing)
      for thing in things.THINGS
    ),
  )


def test_the_command_renders_with_recordings(tmp_path, effects, capsys):
  folder = tmp_path / "yard"
  call = ["yard", "--out", str(folder), "--duration", "1", "--jobs", "1"]
  call += ["--no-frames", "--seed", "5", "--clips", "2"]
  assert cli.main([*call, "--recordings", str(effects)]) == 0
  library = recordings.load(effects)
  heard = list(records.Shards([folder]))
  assert len(heard) == 2
  for index, record in enumerate(heard):
    staged = yard.sample_scene(5, index, split="train", duration=1.0)
    expected = record_lib.record(staged, pictures=False, recordings=library)
    assert records.pack(record) == records.pack(expected)
  files = {r["file"] for record in heard for r in record.meta["recordings"]}
  cast = {s["thing"] for record in heard for s in record.meta["sources"]}
  assert cast
  assert files == {name_in("train", stem=f"{thing}-") for thing in cast}

  capsys.readouterr()
  assert cli.main([*call, "--recordings", str(effects)]) == 0
  assert "0 of 1 shards" in capsys.readouterr().out
  assert cli.main(call) == 2
  told = capsys.readouterr().err
  assert f"recordings {library.identity}, not None" in told
  soundfile.write(effects / library.recordings[0].file, noise(99), RATE)
  assert cli.main([*call, "--recordings", str(effects)]) == 2
  assert f"recordings {library.identity}, not " in capsys.readouterr().err


def test_a_folder_older_than_recordings_goes_on(tmp_path, effects, capsys):
  parameters = {
    "clips": 1,
    "seed": 0,
    "split": "train",
    "duration": None,
    "frames": True,
    "shard_size": 256,
  }
  folder = tmp_path / "yard"
  folder.mkdir()
  (folder / "manifest.json").write_text(json.dumps(parameters))
  (folder / "00000.array_record").touch()
  call = ["yard", "--out", str(folder), "--clips", "1"]
  assert cli.main(call) == 0
  assert "0 of 1 shards" in capsys.readouterr().out
  assert cli.main([*call, "--recordings", str(effects)]) == 2
  assert "recordings None, not " in capsys.readouterr().err


def test_the_command_refuses_before_it_writes(tmp_path, capsys):
  effects = save(tmp_path / "effects", entry(licence="GPL-3.0-only"))
  out = tmp_path / "yard"
  call = ["yard", "--out", str(out), "--clips", "1", "--recordings"]
  assert cli.main([*call, str(effects)]) == 2
  told = capsys.readouterr().err
  assert told.startswith(f"error: {effects / 'recordings.json'}: ")
  assert "recordings[0].licence: 'GPL-3.0-only'" in told
  assert not os.path.exists(out)


def test_show_is_heard_with_recordings(tmp_path, effects, monkeypatch):
  waves = []
  monkeypatch.setattr(
    write, "write_video", lambda *_, wave, **__: waves.append(wave)
  )
  seed = next(
    s for s in range(50) if yard.sample_scene(s, 0, duration=1.0).sources
  )
  call = ["yard", "--show", str(tmp_path / "show"), "--clips", "1"]
  call += ["--duration", "1", "--seed", str(seed)]
  assert cli.main([*call, "--recordings", str(effects)]) == 0
  staged = yard.sample_scene(seed, 0, duration=1.0)
  library = recordings.load(effects)
  expected = yard.render_sound(
    staged, recordings=recordings.waves(library, "train")
  )
  np.testing.assert_array_equal(waves[0], expected.wave)
  assert not np.array_equal(waves[0], yard.render_sound(staged).wave)
