"""`tri_ergon` from records: its examples and its drops."""

from __future__ import annotations

import pathlib
import shutil

import ml_collections
import numpy as np
from jaxtyping import Array, Bool, Key

from vta import errors
from vta.conditioning import small_vectors, tri_ergon
from vta.data import half, records
from vta.interop import release
from vta.training import state, system
from vta.training.tasks import examples

_FIELDS = ("text_vectors", "audio_vector", "video_vector")
FRAMES = "frames"  # of a release: the predictor in the video tower's place


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
    self._eyes = None
    if config.frames_from:
      eyes = release.load(config.frames_from)
      self._eyes = release.digest(eyes.require("frame_encoder"))

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

  @staticmethod
  def draw_keep(
    drop: ml_collections.ConfigDict, key: Key[Array, ""], count: int
  ) -> Bool[Array, "b 5"]:
    """Unbalanced multi-modal prompting: see `tri_ergon.draw_keep`."""
    return tri_ergon.draw_keep(key, count, drop=drop.entries, drop_all=drop.all)

  def example(
    self, record: records.Record, rng: np.random.Generator, window: int = 0
  ) -> dict[str, np.ndarray]:
    """A random crop of a latent record: inputs and target.

    Args:
      record: the clip.
      rng: draws the crop and the caption.
      window: latents, where it is not the system's.
    """
    window = window or self._system.window
    cut = examples.crop(
      record, rng, self._system, self._codec.config, window=window
    )
    if self._config.frames_from:
      vectors = self._small_vectors(record, cut.whole, rng)
    else:
      vectors = _vectors(record, rng)
    example = tri_ergon.assemble(
      self._system.geometry(window),
      start=cut.start,
      total=float(record.meta["duration"]),
      loudness=examples.loudness(record),
      **vectors,
    )
    return {**example, "latent_mean": cut.mean, "latent_std": cut.std}

  def _small_vectors(self, record, latents, rng):
    """Those that stand in LanguageBind's place; see `small_vectors`."""
    arrays = record.arrays
    if record.meta.get("pictures_by") != self._eyes:
      raise errors.InputError(
        str(record.meta["id"]),
        f"holds no pictures by {self._config.frames_from}: run `python -m "
        "data_prep.see`",
      )
    width = self._system.conditioner.config.width
    vectors = {
      "audio": small_vectors.audio(latents, width=width),
      "video": small_vectors.video(arrays["pictures"], width=width),
    }
    if count := len(arrays["text_tokens"]):
      caption = int(rng.integers(count))
      vectors["text"] = small_vectors.text(
        arrays["text_tokens"][caption],
        arrays["text_mask"][caption],
        width=width,
      )
    return vectors

  def finish(self, folder: pathlib.Path) -> None:
    """The frame encoder that stands in the video tower's place, if one does.

    LanguageBind's towers are put there by who has them.
    """
    if self._config.frames_from:
      shutil.copytree(
        self._config.frames_from, folder / FRAMES, dirs_exist_ok=True
      )


def _vectors(record, rng):
  """LanguageBind's, as the record has them."""
  arrays = record.arrays
  missing = [name for name in _FIELDS if name not in arrays]
  if missing:
    raise errors.InputError(
      str(record.meta["id"]),
      f"the record has no {', '.join(missing)}: encode the waves into "
      "another folder by `python -m data_prep.encode --languagebind DIR`",
    )
  vectors = {
    name: half.widen(arrays[f"{name}_vector"]) for name in ("audio", "video")
  }
  if len(arrays["text_vectors"]):
    caption = int(rng.integers(len(arrays["text_vectors"])))
    vectors["text"] = half.widen(arrays["text_vectors"][caption])
  return vectors
