"""Encoding goes on where it stopped, and only with what it began with."""

import jax
import numpy as np
import pytest
import tiny_release

from data_prep import captions, encode
from vta import errors
from vta.data import records
from vta.encoders import text
from vta.interop import release
from vta.training.tasks import examples


def wave(index, **meta):
  """A wave record of a second with no truth in it."""
  rng = np.random.default_rng(index)
  return records.Record(
    arrays={
      "wave": rng.integers(-9000, 9000, (44_100, 2), np.int16),
      "frames": np.zeros((15, 16, 16, 3), np.uint8),
      "frame_times": (np.arange(15) / 15).astype(np.float32),
    },
    meta={
      "id": f"clip-{index}",
      "duration": 1.0,
      "captions": ["a ball"],
      "objects": [],
      **meta,
    },
  )


@pytest.fixture
def run(tmp_path, monkeypatch):
  records.write_shards(
    tmp_path / "waves", [wave(i) for i in range(2)], shard_size=1
  )

  def call(codec, *more):
    command = ["encode", "--records", str(tmp_path / "waves")]
    command += ["--codec", str(codec), "--out", str(tmp_path / "out"), *more]
    monkeypatch.setattr("sys.argv", command)
    return encode.main()

  return call


def test_it_goes_on_with_the_same_codec_alone(run, tmp_path, capsys):
  codec, out = tiny_release.folder(), tmp_path / "out"
  assert run(codec) == 0
  assert "0 of 2 shards were there" in capsys.readouterr().out
  digest = examples.codec_digest(release.load(codec))
  assert [r.meta["latents_by"] for r in records.Shards([out])] == [digest] * 2

  (out / "00001.array_record").unlink()
  assert run(codec) == 0
  assert "1 of 2 shards were there" in capsys.readouterr().out
  assert len(records.Shards([out])) == 2

  whole = release.load(codec)
  other = jax.tree.map(lambda x: x + 0.1, whole.parts["codec"])
  release.save(
    tmp_path / "other", config=whole.config, parts={"codec": other}, card=""
  )
  with pytest.raises(errors.InputError, match=r"out: .*other latents_by"):
    run(tmp_path / "other")
  with pytest.raises(errors.InputError, match=r"out: .*other frame_features"):
    run(codec, "--tower", "efficientnet-lite0")
  records.write_shards(
    tmp_path / "waves", [wave(i + 5) for i in range(2)], shard_size=1
  )
  with pytest.raises(errors.InputError, match=r"out: .*other id"):
    run(codec)


def test_a_codec_that_is_none_is_refused(run, tmp_path):
  one = {"layer": {"kernel": np.ones((2, 3), np.float32)}}
  release.save(tmp_path / "heads", config={}, parts={"heads": one}, card="")
  with pytest.raises(errors.InputError, match="heads: holds no codec"):
    run(tmp_path / "heads")


def test_labels_without_captions_are_said_in_five_ways():
  """All are captions, however few of others are kept; captions come first."""
  waves = [
    wave(0, captions=[], labels=["dog barking"]),
    wave(1, captions=["a ball", "a red ball"], labels=["ball"]),
    wave(2, captions=[], labels=["speech", "rain"]),
    wave(3, captions=[]),
  ]
  encoded = encode.encode_records(
    waves,
    encode_wave=encode.wave_encoder(release.load(tiny_release.folder())),
    texts=text.TextEncoder.load(),
    captions=1,
  )
  made = list(encoded)
  assert [record.meta["captions"] for record in made] == [
    [
      "The sound of dog barking",
      "A sound of dog barking",
      "The audio of dog barking",
      "A recording of dog barking",
      "A clip of dog barking",
    ],
    ["a ball"],
    [f"{prefix} speech, rain" for prefix in captions.PREFIXES],
    [],
  ]
  tokens = [record.arrays["text_tokens"] for record in made]
  assert [len(x) for x in tokens] == [5, 1, 5, 0]
  assert len({x.tobytes() for x in tokens[0]}) == 5
