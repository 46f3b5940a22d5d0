"""Stretches of records, as the tasks cut them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import ml_collections
import numpy as np
from jaxtyping import Bool, Float

from vta import errors
from vta.conditioning import inputs
from vta.data import half, mixture, records
from vta.interop import release
from vta.signals import events as events_lib
from vta.signals import loudness as loudness_lib
from vta.training import system


def codec_digest(codec: release.Release) -> str:
  """What records know the codec by that made their latents.

  Of the half that encodes: a decoder may train on. And as `release.save` rounds
  it: what is tuned passes on its codec in half precision.
  """

  def rounded(leaf):
    return np.asarray(leaf, np.float16) if np.ndim(leaf) > 1 else leaf

  encodes = {
    name: tree
    for name, tree in codec.require("codec").items()
    if name not in ("decoder", "levels_out")
  }
  return release.digest(jax.tree.map(rounded, encodes))


def check(config: ml_collections.ConfigDict, codec: release.Release) -> None:
  """Asks the first record of every folder whether a task can learn of it.

  Raises:
    InputError: naming the folder that holds no latents, those of another codec
      (older records do not say of which), frames of another size, or what the
      towers of another preset made of it.
  """
  channels, clip = len(codec.config["latent_mean"]), config.get("clip")
  mine = codec_digest(codec)
  for folder in (*mixture.folders(config.data.train), *config.data.validation):
    record = records.Shards([folder])[0]
    if "latent_mean" not in record.arrays:
      raise errors.InputError(
        folder, "holds no latents: run `python -m data_prep.encode`"
      )
    found = record.arrays["latent_mean"].shape[1]
    if found != channels:
      raise errors.InputError(
        folder,
        f"its latents have {found} channels, {codec.folder}'s {channels}",
      )
    if record.meta.get("latents_by", mine) != mine:
      raise errors.InputError(
        folder, f"its latents are by another codec than {codec.folder}'s"
      )
    if config.get("preset") == "foley" and "text_by" in record.meta:
      raise errors.InputError(
        folder, f"its captions are read by {record.meta['text_by']}, not MiniLM"
      )
    if clip and "frames" in record.arrays:
      height, width = record.arrays["frames"].shape[1:3]
      if (height, width) != (clip.frame_size, clip.frame_size):
        raise errors.InputError(
          folder,
          f"its frames are {width} x {height}, clip.frame_size is "
          f"{clip.frame_size}",
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Crop:
  """A window of a record's latents, normalised.

  Attributes:
    start: where it begins on the clip's time axis, seconds.
    mean, std: the posterior, zero past the clip's end.
    sounding: false past the clip's end.
    latents: the mean of the whole clip, as the record has it.
    centre, scale: what normalises it.
  """

  start: float
  mean: Float[np.ndarray, "t c"]
  std: Float[np.ndarray, "t c"]
  sounding: Bool[np.ndarray, "t"]
  latents: Float[np.ndarray, "l c"]
  centre: Float[np.ndarray, "c"]
  scale: Float[np.ndarray, "c"]

  @property
  def whole(self) -> Float[np.ndarray, "l c"]:
    """The mean of the whole clip, normalised."""
    return (half.widen(self.latents) - self.centre) / self.scale


def crop(
  record: records.Record,
  rng: np.random.Generator,
  made: system.System,
  codec: Mapping[str, Any],
  *,
  window: int = 0,
) -> Crop:
  """A random window.

  Args:
    record: of latents.
    rng: draws where.
    made: its window is cut where no other is named.
    codec: the config of the codec's release.
    window: latents.
  """
  window = window or made.window
  centre = np.asarray(codec["latent_mean"], np.float32)
  scale = np.asarray(codec["latent_std"], np.float32)
  latents = record.arrays["latent_mean"]
  first = int(rng.integers(max(len(latents) - window, 0) + 1))
  here = slice(first, first + window)
  there = len(latents[here])
  # In place: fresh memory for every term costs as much as the arithmetic.
  mean, std = map(
    half.widen, (latents[here], record.arrays["latent_std"][here])
  )
  mean -= centre
  mean /= scale
  std /= scale
  if there < window:
    pad = ((0, window - there), (0, 0))
    mean, std = np.pad(mean, pad), np.pad(std, pad)
  return Crop(
    start=first / made.latent_rate,
    mean=mean,
    std=std,
    sounding=np.arange(window) < there,
    latents=latents,
    centre=centre,
    scale=scale,
  )


def loudness(record: records.Record) -> loudness_lib.Loudness:
  """The record's curve."""
  return loudness_lib.Loudness(
    times=record.arrays["loudness_times"].astype(np.float64),
    lufs=record.arrays["loudness"],
  )


def can_be_whole(record: records.Record, geometry: inputs.Geometry) -> bool:
  """Whether a masked record can be shown without its mask too."""
  if "pictures" in record.arrays:
    return "whole_pictures" in record.arrays
  return record.mask is not None and (
    not geometry.tower or "whole_features" in record.arrays
  )


def seen_and_heard(
  record: records.Record,
  geometry: inputs.Geometry,
  start: float,
  *,
  unmasked: bool = False,
) -> Mapping[str, Any]:
  """What `inputs.assemble` takes of a record from `start` seconds on.

  Args:
    record: of latents.
    geometry: what of it the conditioner has a size for.
    start: where the stretch begins, seconds.
    unmasked: a record that `can_be_whole` shows all of its picture.

  Returns:
    its arguments for what is seen, loudness, events and the times.

  Raises:
    InputError: the geometry has pixels, or a tower that the record was not seen
      by, and the record has not.
  """
  arrays = record.arrays
  signals = {
    "start": start,
    "total": float(record.meta["duration"]),
    "frame_times": arrays["frame_times"].astype(np.float64),
    "loudness": loudness(record),
    "events": events_lib.Events(intervals=arrays["events"].astype(np.float64)),
  }
  if "pictures" in arrays:
    pictures = arrays["whole_pictures" if unmasked else "pictures"]
    return {**signals, "pictures": half.widen(pictures)}
  features = None
  if geometry.tower:
    if "frame_features" not in arrays:
      raise errors.InputError(
        str(record.meta["id"]),
        "the record has no frame_features: encode the waves into another "
        "folder by `python -m data_prep.encode --tower efficientnet-lite0`",
      )
    features = half.widen(
      arrays["whole_features" if unmasked else "frame_features"]
    )
  if not geometry.frame_size:
    whole = None
    if geometry.whole:
      # Without a mask what it shows is all.
      whole = half.widen(arrays.get("whole_features", features))
    return {**signals, "frame_features": features, "whole_features": whole}
  if "frames" not in arrays:
    raise errors.InputError(
      str(record.meta["id"]), "the record has no frames: another tower saw them"
    )
  return {
    **signals,
    "frames": arrays["frames"],
    "mask": None if unmasked else record.mask,
    "frame_features": features,
  }
