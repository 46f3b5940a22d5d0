"""Stretches of records, as the tasks cut them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float

from vta import errors
from vta.conditioning import inputs
from vta.data import records
from vta.signals import events as events_lib
from vta.signals import loudness as loudness_lib
from vta.training import system


@dataclasses.dataclass(frozen=True, kw_only=True)
class Crop:
  """A window of a record's latents, normalised.

  Attributes:
    start: where it begins on the clip's time axis, seconds.
    mean, std: the posterior, zero past the clip's end.
    whole: the mean of the whole clip.
  """

  start: float
  mean: Float[np.ndarray, "t c"]
  std: Float[np.ndarray, "t c"]
  whole: Float[np.ndarray, "l c"]


def crop(
  record: records.Record,
  rng: np.random.Generator,
  made: system.System,
  *,
  mean: Float[np.ndarray, "c"],
  std: Float[np.ndarray, "c"],
) -> Crop:
  """A random window; `mean` and `std` are of the codec's latents."""
  latents = (record.arrays["latent_mean"].astype(np.float32) - mean) / std
  spread = record.arrays["latent_std"].astype(np.float32) / std
  first = int(rng.integers(max(len(latents) - made.window, 0) + 1))
  window = slice(first, first + made.window)
  pad = ((0, max(first + made.window - len(latents), 0)), (0, 0))
  return Crop(
    start=first / made.latent_rate,
    mean=np.pad(latents[window], pad),
    std=np.pad(spread[window], pad),
    whole=latents,
  )


def loudness(record: records.Record) -> loudness_lib.Loudness:
  """The record's curve."""
  return loudness_lib.Loudness(
    times=record.arrays["loudness_times"].astype(np.float64),
    lufs=record.arrays["loudness"],
  )


def seen_and_heard(
  record: records.Record, geometry: inputs.Geometry, start: float
) -> Mapping[str, Any]:
  """What `inputs.assemble` takes of a record from `start` seconds on.

  Returns:
    its arguments for what is seen, loudness, events and the times.

  Raises:
    InputError: the geometry has a tower that the record was not seen by.
  """
  arrays = record.arrays
  times = arrays["frame_times"].astype(np.float64)
  # From the last frame at or before the stretch's start.
  begin = max(int(np.searchsorted(times, start, side="right")) - 1, 0)
  window = slice(begin, begin + geometry.frames)
  signals = {
    "start": start,
    "total": float(record.meta["duration"]),
    "frame_times": times[window],
    "loudness": loudness(record),
    "events": events_lib.Events(intervals=arrays["events"].astype(np.float64)),
  }
  if "pictures" in arrays:
    pictures = arrays["pictures"][window].astype(np.float32)
    return {**signals, "pictures": pictures}
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
    **signals,
    "frames": arrays["frames"][window],
    "mask": None if mask is None else mask[window],
    "frame_features": features,
  }
