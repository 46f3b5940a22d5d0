"""How long the clips of a shard are, in a file beside it.

Clips of like length are batched together (`buckets`), which needs to be known
of all of them before the first is read. NAME.lengths.json is written when a
shard is first asked; where that is not allowed, every run reads it anew.
"""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
from collections.abc import Sequence

import numpy as np
import tqdm
from jaxtyping import Int

from vta import errors, files
from vta.data import records


def latents(shards: Sequence[str | os.PathLike]) -> Int[np.ndarray, "n"]:
  """Latents of every clip of some shards, in the shards' order.

  Raises:
    InputError: a clip has no latents, or a shard cannot be read.
  """
  known = {path: _kept(path) for path in shards}
  new = [path for path, kept in known.items() if kept is None]
  for path in tqdm.tqdm(new, desc="lengths", unit="shard", disable=not new):
    known[path] = _measure(path)
  return np.concatenate([np.asarray(known[path], np.int64) for path in shards])


def _beside(shard: str | os.PathLike) -> pathlib.Path:
  return pathlib.Path(shard).with_suffix(records.LENGTHS)


def _kept(shard: str | os.PathLike) -> list[int] | None:
  """What the file beside a shard says, if it is of this shard."""
  try:
    found = json.loads(_beside(shard).read_text())
  except (OSError, ValueError):
    return None
  # `write_shards` removes what an older shard leaves; others may not.
  same = found["bytes"] == os.path.getsize(shard)
  return found["latents"] if same else None


def _measure(shard: str | os.PathLike) -> list[int]:
  found = []
  for record in records.Shards([shard]):
    if "latent_mean" not in record.arrays:
      raise errors.InputError(
        shard, "holds no latents: run `python -m data_prep.encode`"
      )
    found.append(len(record.arrays["latent_mean"]))
  # Where nothing can be written, the next run measures again.
  with (
    contextlib.suppress(errors.InputError),
    files.atomic_path(_beside(shard)) as temporary,
  ):
    temporary.write_text(
      json.dumps({"bytes": os.path.getsize(shard), "latents": found})
    )
  return found
