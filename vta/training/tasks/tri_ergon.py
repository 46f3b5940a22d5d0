"""`tri_ergon` from records: its examples and its drops."""

from __future__ import annotations

import pathlib

import ml_collections
import numpy as np
from jaxtyping import Array, Bool, Key

from vta import errors
from vta.conditioning import tri_ergon
from vta.data import records
from vta.interop import release
from vta.training import state, system
from vta.training.tasks import examples

_FIELDS = ("text_vectors", "audio_vector", "video_vector")


class TriErgon:
  """How the denoiser's task trains the preset."""

  # Of the config, what a release repeats besides what all presets have.
  sections = ("window",)

  def __init__(
    self,
    config: ml_collections.ConfigDict,
    made: system.TriErgon,
    codec: release.Release,
  ):
    """`codec` is what the records' latents are of."""
    self._config = config
    self._system = made
    self._codec = codec

  def start(self, params: state.Params) -> state.Params:
    """Fresh parameters with Stable Audio's denoiser and timing, if asked.

    What public weights have no place for stays fresh: the task's embedding,
    and what reads aligned loudness.
    """
    folder = self._config.denoiser_from
    if not folder:
      return params
    start = release.load(folder)
    fresh = params["denoiser"]
    known = {k: v for k, v in fresh.items() if not k.startswith("input_")}
    mine = params["conditioner"]
    theirs = start.require("conditioner")
    start.part("conditioner", {**theirs, "timing": mine["timing"]})
    return {
      "conditioner": {**mine, "timing": theirs["timing"]},
      "denoiser": {**fresh, **start.part("denoiser", known)},
    }

  def draw_keep(self, key: Key[Array, ""], count: int) -> Bool[Array, "b 5"]:
    """Unbalanced multi-modal prompting: see `tri_ergon.draw_keep`."""
    drop = self._config.drop
    return tri_ergon.draw_keep(key, count, drop=drop.entries, drop_all=drop.all)

  def example(
    self, record: records.Record, rng: np.random.Generator
  ) -> dict[str, np.ndarray]:
    """A random crop of a latent record: inputs and target."""
    arrays = record.arrays
    missing = [name for name in _FIELDS if name not in arrays]
    if missing:
      raise errors.InputError(
        str(record.meta["id"]),
        f"the record has no {', '.join(missing)}: encode the waves into "
        "another folder by `python -m data_prep.encode --languagebind DIR`",
      )
    cut = examples.crop(record, rng, self._system, self._codec.config)
    vectors = {
      name: arrays[f"{name}_vector"].astype(np.float32)
      for name in ("audio", "video")
    }
    if len(arrays["text_vectors"]):
      caption = int(rng.integers(len(arrays["text_vectors"])))
      vectors["text"] = arrays["text_vectors"][caption].astype(np.float32)
    example = tri_ergon.assemble(
      self._system.geometry(self._system.window),
      start=cut.start,
      total=float(record.meta["duration"]),
      loudness=examples.loudness(record),
      **vectors,
    )
    return {**example, "latent_mean": cut.mean, "latent_std": cut.std}

  def finish(self, folder: pathlib.Path) -> None:
    """A release holds nothing besides its parts."""
