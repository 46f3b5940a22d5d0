"""Three ways to read the same clips: our pipeline, and two of torch's.

All yield batches of the same examples, made by the same function from the same
arrays, in an order of their own; what differs is storage, shuffling and
batching.
"""

from __future__ import annotations

import io
import itertools
import json
import pathlib
import random
import tarfile
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import safetensors.numpy

from benchmarks import clips
from vta.data import buckets, mixture, pipeline, records

_SHUFFLED = 256  # clips that the tar's reader picks from


def write(
  case: clips.Case, folder: pathlib.Path, *, count: int
) -> dict[str, list[pathlib.Path]]:
  """The same clips for every way of reading; returns the files of each."""
  made = [clips.record(case, number) for number in range(count)]
  blobs = [records.pack(one) for one in made]
  shards = records.write_shards(folder / "shards", made, shard_size=128)
  mapped = folder / "clips.bin"
  mapped.write_bytes(b"".join(blobs))
  sizes = np.cumsum([0, *map(len, blobs)])
  np.save(folder / "clips.npy", sizes)
  archive = folder / "clips.tar"
  with tarfile.open(archive, "w") as tar:
    for number, blob in enumerate(blobs):
      entry = tarfile.TarInfo(f"{number:08d}.safetensors")
      entry.size = len(blob)
      tar.addfile(entry, io.BytesIO(blob))
  return {"ours": list(shards), "mapped": [mapped], "tar": [archive]}


def ours(
  files: Sequence[pathlib.Path],
  make: Callable,
  *,
  again: int,
  batch: int,
  seed: int,
) -> Iterator:
  """ArrayRecord shards through `vta.data.pipeline`, one reading thread."""
  shards = records.Shards(files)
  places = np.tile(np.arange(len(shards)), again)
  stream = pipeline.Stream(
    parts=[mixture.Part(clips=buckets.Some(shards, places))],
    make_example=make,
    batch_size=batch,
  )
  return pipeline.batches([stream], seed=seed, threads=1)


def mapped(
  files: Sequence[pathlib.Path],
  make: Callable,
  *,
  again: int,
  batch: int,
  seed: int,
) -> Iterator:
  """torch's DataLoader over np.memmap: a file of arrays, headers in memory."""
  import torch

  torch.set_num_threads(1)  # per core: waiting for others would count too

  class Mapped(torch.utils.data.Dataset):
    def __init__(self):
      self._edges = np.load(files[0].with_suffix(".npy"))
      self._rng = np.random.default_rng(seed)
      data = np.memmap(files[0], np.uint8, "r")
      self._headers = [_header(data, int(a)) for a in self._edges[:-1]]
      self._data = data

    def __len__(self):
      return len(self._headers) * again

    def __getitem__(self, index):
      meta, fields = self._headers[index % len(self._headers)]
      arrays = {
        name: self._data[a:b].view(kind).reshape(shape)
        for name, (kind, shape, a, b) in fields.items()
      }
      return make(records.Record(arrays=arrays, meta=meta), self._rng)

  generator = torch.Generator()
  generator.manual_seed(seed)
  loader = torch.utils.data.DataLoader(
    Mapped(),
    batch_size=batch,
    shuffle=True,
    drop_last=True,
    num_workers=0,
    generator=generator,
  )
  return itertools.chain.from_iterable(loader for _ in itertools.count())


def tar(
  files: Sequence[pathlib.Path],
  make: Callable,
  *,
  again: int,
  batch: int,
  seed: int,
) -> Iterator:
  """As webdataset does it: a tar read in order, shuffled in a buffer."""
  import torch

  torch.set_num_threads(1)

  class Tar(torch.utils.data.IterableDataset):
    def __iter__(self):
      rng, order = np.random.default_rng(seed), random.Random(seed)
      held = []
      for _ in range(again):
        with tarfile.open(files[0], "r|") as archive:
          for entry in archive:
            held.append(archive.extractfile(entry).read())
            if len(held) < _SHUFFLED:
              continue
            at = order.randrange(len(held))
            held[at], held[-1] = held[-1], held[at]
            yield make(_record(held.pop()), rng)

  return iter(
    torch.utils.data.DataLoader(Tar(), batch_size=batch, num_workers=0)
  )


WAYS = {"ours": ours, "mapped": mapped, "tar": tar}
_KINDS = {"F16": "float16", "F32": "float32", "BOOL": "bool", "U8": "uint8"}


def _header(data: np.ndarray, start: int):
  """Where a clip's arrays are in a file of clips, and its meta."""
  size = int.from_bytes(bytes(data[start : start + 8]), "little")
  header = json.loads(bytes(data[start + 8 : start + 8 + size]))
  meta = json.loads(header.pop("__metadata__")["vta"])
  first = start + 8 + size
  return meta, {
    name: (
      np.dtype(_KINDS[entry["dtype"]]),
      tuple(entry["shape"]),
      *(first + offset for offset in entry["data_offsets"]),
    )
    for name, entry in header.items()
  }


def _record(blob: bytes) -> records.Record:
  """By safetensors' own reader."""
  header = json.loads(blob[8 : 8 + int.from_bytes(blob[:8], "little")])
  meta = json.loads(header["__metadata__"]["vta"])
  return records.Record(arrays=safetensors.numpy.load(blob), meta=meta)
