"""Stretches of records, as the tasks cut them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from vta import errors
from vta.conditioning import inputs
from vta.data import records
from vta.signals import events as events_lib
from vta.signals import loudness as loudness_lib


def seen_and_heard(
  record: records.Record, geometry: inputs.Geometry, start: float
) -> Mapping[str, Any]:
  """What `inputs.assemble` takes of a record from `start` seconds on.

  Returns:
    its arguments for frames, mask, tower, loudness and events, and the times.

  Raises:
    InputError: the geometry has a tower that the record was not seen by.
  """
  arrays = record.arrays
  times = arrays["frame_times"].astype(np.float64)
  # From the last frame at or before the stretch's start.
  begin = max(int(np.searchsorted(times, start, side="right")) - 1, 0)
  window = slice(begin, begin + geometry.frames)
  mask = record.mask
  features = None
  if geometry.tower:
    if "frame_features" not in arrays:
      raise errors.InputError(
        str(record.meta["id"]),
        "the record has no frame_features: encode the waves into another "
        "folder by `python -m data_prep.encode --tower efficientnet-lite0`",
      )
    features = arrays["frame_features"][window].astype(np.float32)
  return {
    "start": start,
    "total": float(record.meta["duration"]),
    "frames": arrays["frames"][window],
    "frame_times": times[window],
    "mask": None if mask is None else mask[window],
    "frame_features": features,
    "loudness": loudness_lib.Loudness(
      times=arrays["loudness_times"].astype(np.float64),
      lufs=arrays["loudness"],
    ),
    "events": events_lib.Events(intervals=arrays["events"].astype(np.float64)),
  }
