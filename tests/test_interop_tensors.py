"""Checkpoints in one file and in shards."""

import json
import os

import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy
import transformers

from vta.errors import InputError
from vta.interop import tensors

ARRAYS = {
  "a": np.arange(6, dtype=np.float32).reshape(2, 3),
  "b": np.arange(4, dtype=np.float16),
  "c": np.arange(8, dtype=np.float32).astype(ml_dtypes.bfloat16),
  "d": np.zeros((0, 3), np.float32),
}


@pytest.mark.parametrize(
  ("limit", "files"),
  [
    (tensors.SHARD, ["m.safetensors"]),
    (
      24,
      [
        "m-00001-of-00002.safetensors",
        "m-00002-of-00002.safetensors",
        "m.safetensors.index.json",
      ],
    ),
    # A tensor that is over the limit alone still gets its shard.
    (16, ["m.safetensors.index.json"]),
  ],
)
def test_what_is_written_is_read(tmp_path, limit, files):
  path = tmp_path / "m.safetensors"
  tensors.write(path, ARRAYS.items(), limit=limit)
  assert set(files) <= set(os.listdir(tmp_path))
  assert not [name for name in os.listdir(tmp_path) if name.startswith(".")]
  modes = {file.stat().st_mode & 0o777 for file in tmp_path.iterdir()}
  (tmp_path / "plain").touch()
  assert modes == {(tmp_path / "plain").stat().st_mode & 0o777}
  reader = tensors.Reader(path)
  assert reader.shapes == {k: v.shape for k, v in ARRAYS.items()}
  for name, array in ARRAYS.items():
    assert reader.read(name).dtype == array.dtype
    np.testing.assert_array_equal(reader.read(name), array)
  np.testing.assert_array_equal(reader.read("a", 1), ARRAYS["a"][1])
  np.testing.assert_array_equal(reader.read("c", 3), ARRAYS["c"][3])


def test_shards_are_those_of_hugging_face(tmp_path):
  """transformers reads ours, and we read its."""
  config = transformers.BertConfig(
    vocab_size=50, hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
    intermediate_size=32,
  )  # fmt: skip
  model = transformers.BertModel(config)
  model.save_pretrained(tmp_path / "theirs", max_shard_size="4KB")
  assert len(list((tmp_path / "theirs").glob("*.safetensors"))) > 2
  reader = tensors.Reader(tmp_path / "theirs/model.safetensors")
  state = {k: v.numpy() for k, v in model.state_dict().items()}
  found = {name: reader.read(name) for name in reader.shapes}
  assert found.keys() == state.keys()
  ours = tmp_path / "ours"
  ours.mkdir()
  config.save_pretrained(ours)
  tensors.write(ours / "model.safetensors", found.items(), limit=4000)
  assert len(list(ours.glob("*.safetensors"))) > 2
  loaded = transformers.BertModel.from_pretrained(ours).state_dict()
  for name, array in state.items():
    np.testing.assert_array_equal(loaded[name].numpy(), array)


def test_one_form_replaces_the_other(tmp_path):
  path = tmp_path / "m.safetensors"
  tensors.write(path, [("old", ARRAYS["a"])])
  tensors.write(path, ARRAYS.items(), limit=24)
  assert "old" not in tensors.Reader(path).shapes
  tensors.write(path, [("new", ARRAYS["a"])])
  assert list(tensors.Reader(path).shapes) == ["new"]


def _index(tmp_path, names):
  path = tmp_path / "m.safetensors"
  index = {"weight_map": {str(i): name for i, name in enumerate(names)}}
  tensors.index_of(path).write_text(json.dumps(index))
  return path


def test_bad_checkpoints_are_named(tmp_path):
  path = tmp_path / "m.safetensors"
  with pytest.raises(InputError, match=r"m\.safetensors: is missing"):
    tensors.Reader(path)
  path.write_bytes(b"not a tensor in sight")
  with pytest.raises(InputError, match="cannot be read as safetensors"):
    tensors.Reader(path)
  path.unlink()
  for names, message in (
    (["gone.safetensors"], r"gone\.safetensors: is missing"),
    (["../up.safetensors"], "is no file name"),
    ([3], "is no file name"),
  ):
    with pytest.raises(InputError, match=message):
      tensors.Reader(_index(tmp_path, names))
  tensors.index_of(path).write_text("[]")
  with pytest.raises(InputError, match="is no index of shards"):
    tensors.Reader(path)
  for name in ("x", "y"):
    one = {"same": ARRAYS["a"]}
    safetensors.numpy.save_file(one, tmp_path / f"{name}.safetensors")
  with pytest.raises(InputError, match="same is in another shard as well"):
    tensors.Reader(_index(tmp_path, ["x.safetensors", "y.safetensors"]))


def test_a_failure_leaves_what_was_there(tmp_path):
  path = tmp_path / "m.safetensors"
  tensors.write(path, [("old", ARRAYS["a"])])

  def broken():
    yield from ARRAYS.items()
    raise RuntimeError("the source went away")

  with pytest.raises(RuntimeError, match="went away"):
    tensors.write(path, broken(), limit=24)
  assert os.listdir(tmp_path) == ["m.safetensors"]
  assert list(tensors.Reader(path).shapes) == ["old"]
