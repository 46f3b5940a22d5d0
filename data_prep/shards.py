"""Which shards a run that goes on has still to make, and that they belong."""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Sequence
from typing import Any

from vta import errors
from vta.data import records


def missing(
  source: pathlib.Path,
  out: pathlib.Path,
  *,
  fields: Callable[[set[str]], set[str]],
  **meta: Any,
) -> Sequence[tuple[int, pathlib.Path]]:
  """The shards of `source` that `out` has none of, each with its number.

  The first record that is there stands for all that are: they came of one run.

  Args:
    source: the folder that is read.
    out: the folder that is written.
    fields: what this run makes of a record's fields.
    **meta: what this run writes into every record's meta.

  Raises:
    InputError: there is nothing to read, or another run made what is there.
  """
  shards = records.shards_of(source)
  if not shards:
    raise errors.InputError(source, "holds no *.array_record shard")
  there = [shard for shard in shards if (out / shard.name).exists()]
  print(f"{len(there)} of {len(shards)} shards were there")
  if there:
    read, made = (
      records.Shards([folder / there[0].name])[0] for folder in (source, out)
    )
    known = {"id": read.meta["id"], **meta}
    wrong = [key for key in known if made.meta.get(key) != known[key]]
    wrong += sorted(fields(set(read.arrays)) ^ set(made.arrays))
    if wrong:
      raise errors.InputError(
        out,
        f"its shards are of another run, with other {', '.join(wrong)}: "
        "give another --out",
      )
  return [(i, shard) for i, shard in enumerate(shards) if shard not in there]
