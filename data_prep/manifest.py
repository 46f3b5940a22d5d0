"""What a prepared set is: the two documents that are written last.

quarantine.json names every entry that was left out, and why. manifest.json
holds counts, digests, statistics, versions and the configuration. Neither holds
a time of day or a path of this machine: two runs give the same bytes.
"""

from __future__ import annotations

import collections
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from data_prep import checks as checks_lib
from data_prep import plan as plan_lib
from data_prep.sets import entry as entry_lib

FORMAT = "vta-prepared-1"


def quarantine(
  plan: plan_lib.Plan, shards: Mapping[str, Sequence[Mapping[str, Any]]]
) -> list[dict[str, str]]:
  """A row per entry, or record, that was left out, in the order of ids."""
  rows = [
    {
      "id": one.id,
      "split": one.split,
      "media": one.media,
      "reason": one.reason,
      "detail": one.detail,
    }
    for one in plan.left_out
  ]
  for split, documents in shards.items():
    for document in documents:
      rows += [
        {"split": split, "reason": "late", **row} for row in document["late"]
      ]
  return sorted(rows, key=lambda row: row["id"])


def make(
  *,
  about: Mapping[str, str],
  configuration: Mapping[str, Any],
  splits: Mapping[str, Sequence[entry_lib.Entry]],
  checks: Mapping[str, checks_lib.Check],
  plan: plan_lib.Plan,
  shards: Mapping[str, Sequence[Mapping[str, Any]]],
  left_out: Sequence[Mapping[str, str]],
) -> dict[str, Any]:
  """The manifest.

  Args:
    about: what the catalogue says of the set.
    configuration: what it was prepared with.
    splits: the catalogue.
    checks: what was found of each entry.
    plan: what was decided.
    shards: each shard's document by split.
    left_out: the quarantine.
  """
  every = [document for some in shards.values() for document in some]
  return {
    "format": FORMAT,
    "set": dict(about),
    "configuration": dict(configuration),
    "versions": _versions(every),
    "splits": {
      split: {
        "entries": len(splits[split]),
        "clips": sum(map(len, plan.shards.get(split, ()))),
        **_totals(shards.get(split, ())),
      }
      for split in entry_lib.SPLITS
      if split in splits
    },
    "left_out": dict(
      sorted(collections.Counter(row["reason"] for row in left_out).items())
    ),
    "statistics": _statistics(splits, checks, plan, every),
    "shards": {
      split: [
        {
          "name": f"{number:05d}.array_record",
          "records": len(document["ids"]),
          "sha256": document.get("sha256"),
        }
        for number, document in enumerate(documents)
      ]
      for split, documents in shards.items()
    },
  }


def _versions(shards: Iterable[Mapping[str, Any]]) -> dict[str, list[str]]:
  """Of each library, all that were at work."""
  found: dict[str, set[str]] = {}
  for document in shards:
    for name, version in document["versions"].items():
      found.setdefault(name, set()).add(version)
  return {name: sorted(found[name]) for name in sorted(found)}


def _totals(documents: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
  return {
    "shards": sum("sha256" in document for document in documents),
    "records": sum(len(document["ids"]) for document in documents),
    "seconds": round(sum(document["seconds"] for document in documents), 3),
    "bytes": sum(document.get("bytes", 0) for document in documents),
    "captions": sum(document["captions"] for document in documents),
    "events": sum(document["events"] for document in documents),
  }


def _statistics(
  splits: Mapping[str, Sequence[entry_lib.Entry]],
  checks: Mapping[str, checks_lib.Check],
  plan: plan_lib.Plan,
  shards: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
  """Of the clips that are used, and of the records that were made of them."""
  by_id = {one.id: one for some in splits.values() for one in some}
  used = [
    key for some in plan.shards.values() for shard in some for key in shard
  ]
  found = [checks[key] for key in used]
  labels = collections.Counter(
    label for key in used for label in by_id[key].labels
  )
  numbers = {
    "duration": [one.end - one.start for one in found],
    "loudness": [one.loudness for one in found if one.loudness is not None],
    "clipped": [one.clipped for one in found],
    "fps": [one.fps for one in found if one.fps is not None],
  }
  return {
    **{name: _spread(values) for name, values in numbers.items() if values},
    "sources": len({by_id[key].source for key in used}),
    "channels": _counts(one.channels for one in found),
    "rates": _counts(one.rate for one in found),
    "licences": _counts(by_id[key].licence or "not given" for key in used),
    "labels": dict(sorted(labels.items(), key=lambda row: (-row[1], row[0]))),
    "momentary_loudness": _columns(shards, "loudness"),
    "latents": _columns(shards, "latents"),
  }


def _counts(values: Iterable[Any]) -> dict[str, int]:
  return dict(sorted(collections.Counter(map(str, values)).items()))


def _spread(values: Sequence[float]) -> dict[str, float]:
  low, quarter, middle, three, high = np.percentile(
    values, [0, 25, 50, 75, 100]
  ).tolist()
  return {
    "mean": round(math.fsum(values) / len(values), 4),
    "least": round(low, 4),
    "quarter": round(quarter, 4),
    "median": round(middle, 4),
    "three_quarters": round(three, 4),
    "most": round(high, 4),
  }


def _columns(
  shards: Sequence[Mapping[str, Any]], name: str
) -> dict[str, list[float]] | None:
  """Mean and deviation of each column over all records, None without any."""
  rows = [document[name] for document in shards if name in document]
  if not rows:
    return None
  count = sum(row["count"] for row in rows)
  mean, square = (
    [math.fsum(column) / count for column in zip(*values, strict=True)]
    for values in (
      [row["sum"] for row in rows],
      [row["squares"] for row in rows],
    )
  )
  return {
    "mean": [round(m, 6) for m in mean],
    "std": [
      round(math.sqrt(max(s - m * m, 0.0)), 6)
      for m, s in zip(mean, square, strict=True)
    ],
  }
