"""Records survive the round trip exactly, and nothing else is written."""

import json

import numpy as np
import pytest
import safetensors.numpy

from vta import errors
from vta.data import records

SIZES = {"t": 50, "l": 7, "c": 4, "f": 5, "h": 16, "w": 16, "w/8": 2}
SIZES |= {"n": 6, "k": 3, "o": 2, "d": 8, "p": 3, "s": 9, "e": 10}
SIZES |= {"v": 11, "x": 12, "y": 13, "z": 14, "i": 15, "j": 16, "q": 17}


def example(seed: int, **sizes: int) -> records.Record:
  """Random values in every field."""
  rng = np.random.default_rng(seed)
  sizes = SIZES | sizes
  arrays = {}
  for name, (dtype, dimensions) in records.FIELDS.items():
    shape = [int(d) if d.isdigit() else sizes[d] for d in dimensions.split()]
    arrays[name] = (100 * rng.standard_normal(shape)).astype(dtype)
  meta = {"id": f"é-{seed}", "duration": 1.5, "captions": ["a", "ü\n\"'"]}
  return records.Record(arrays=arrays, meta=meta | {"nested": {"x": [1, None]}})


def assert_same(a: records.Record, b: records.Record) -> None:
  """Equal in values, dtypes, shapes and meta."""
  assert a.meta == b.meta
  assert a.arrays.keys() == b.arrays.keys()
  for name, array in a.arrays.items():
    assert array.dtype == b.arrays[name].dtype
    np.testing.assert_array_equal(array, b.arrays[name], err_msg=name)


def changed(name: str, array: np.ndarray) -> records.Record:
  """A good record but for one field."""
  record = example(0)
  return records.Record(arrays={**record.arrays, name: array}, meta=record.meta)


@pytest.mark.parametrize("seed", range(3))
def test_round_trip(seed):
  record = example(seed)
  assert_same(records.unpack(records.pack(record)), record)


def test_round_trip_of_empty_and_of_strided_arrays():
  record = example(1, k=0, o=0)
  assert_same(records.unpack(records.pack(record)), record)
  # Safetensors would write the memory as it lies, not as it is strided.
  wave = example(2).arrays["wave"]
  back = records.unpack(records.pack(changed("wave", wave[::-2])))
  np.testing.assert_array_equal(back.arrays["wave"], wave[::-2])


@pytest.mark.parametrize("name", records.FIELDS)
def test_every_field_refuses_another_dtype_and_rank(name):
  array = example(0).arrays[name]
  wrong = np.float64 if array.dtype != np.float64 else np.float32
  with pytest.raises(ValueError, match=f"^{name}: expected"):
    records.pack(changed(name, array.astype(wrong)))
  with pytest.raises(ValueError, match=f"^{name}: expected"):
    records.pack(changed(name, array[None]))


@pytest.mark.parametrize(
  ("name", "shape"),
  [
    ("wave", (50, 1)),  # mono
    ("frames", (5, 16, 16, 4)),  # alpha
    ("frame_times", (6,)),
    ("mask", (4, 16, 2)),
    ("loudness_times", (5,)),
    ("latent_std", (7, 5)),
    ("object_probability", (5, 3)),
    ("object_sounding", (4, 2)),
    ("text_mask", (3, 8)),
  ],
)
def test_sizes_must_agree(name, shape):
  array = np.zeros(shape, records.FIELDS[name][0])
  with pytest.raises(ValueError, match=r"elsewhere|is \d+"):
    records.pack(changed(name, array))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["loudness", "latent_mean", "text_tokens"])
def test_not_finite_is_refused(name, value):
  array = example(0).arrays[name].copy()
  array.flat[3] = value
  with pytest.raises(ValueError, match=f"^{name}: not finite"):
    records.pack(changed(name, array))


def test_unknown_fields_and_missing_meta_are_refused():
  with pytest.raises(ValueError, match="unknown field 'wav'"):
    records.pack(changed("wav", np.zeros((3, 2), np.int16)))
  for key in ("id", "duration"):
    meta = {k: v for k, v in example(0).meta.items() if k != key}
    with pytest.raises(ValueError, match=f"meta lacks '{key}'"):
      records.pack(records.Record(arrays={}, meta=meta))


@pytest.mark.parametrize(
  "blob",
  [
    b"",
    b"not a record",
    records.pack(example(0))[:100],
    records.pack(example(0))[:-1],
    safetensors.numpy.save({"wave": np.zeros((2, 2), np.int16)}),
    safetensors.numpy.save({}, metadata={"vta": "{"}),
    safetensors.numpy.save({}, metadata={"vta": json.dumps({"version": 2})}),
  ],
  ids=["empty", "text", "head", "cut", "foreign", "json", "version"],
)
def test_what_is_no_record_is_a_value_error(blob):
  with pytest.raises(ValueError, match="record"):
    records.unpack(blob)


def test_shards_hold_all_records_in_order(tmp_path):
  mine = [example(seed) for seed in range(5)]
  paths = records.write_shards(tmp_path / "a" / "b", iter(mine), shard_size=2)
  assert [path.name for path in paths] == [
    f"0000{i}.array_record" for i in range(3)
  ]
  shards = records.Shards([tmp_path / "a" / "b"])
  assert len(shards) == 5
  for got, wanted in zip(shards, mine, strict=True):
    assert_same(got, wanted)
  for index in (-1, 5):
    with pytest.raises(IndexError):
      shards[index]
  # Folders follow each other.
  (path,) = records.write_shards(
    tmp_path / "c", [example(9)], shard_size=4, first=7
  )
  assert path.name == "00007.array_record"
  both = records.Shards([tmp_path / "c", tmp_path / "a" / "b"])
  assert [record.meta["id"] for record in both] == [
    f"é-{i}" for i in (9, 0, 1, 2, 3, 4)
  ]


def test_a_failure_leaves_whole_shards_only(tmp_path):
  def clips():
    yield from (example(seed) for seed in range(3))
    raise RuntimeError("the disk is on fire")

  with pytest.raises(RuntimeError, match="fire"):
    records.write_shards(tmp_path, clips(), shard_size=2)
  assert [path.name for path in tmp_path.iterdir()] == ["00000.array_record"]
  assert len(records.Shards([tmp_path])) == 2


def test_unreadable_shards_are_the_users_to_mend(tmp_path):
  with pytest.raises(errors.InputError, match=r"no \*.array_record"):
    records.Shards([tmp_path])
  with pytest.raises(errors.InputError, match="nowhere"):
    records.Shards([tmp_path / "nowhere"])
  (path,) = records.write_shards(tmp_path, [example(0)], shard_size=2)
  path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
  with pytest.raises(errors.InputError, match="unreadable shard"):
    records.Shards([tmp_path])
