"""`foley` from records: its examples, its drops, and what its release needs."""

from __future__ import annotations

import pathlib

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
from jaxtyping import Array, Bool, Key

from vta import errors
from vta.conditioning import inputs
from vta.data import mixture, records
from vta.encoders import text, vocabulary
from vta.interop import release
from vta.training import state, system
from vta.training.tasks import examples

_ENCODER = "conditioner/frame_encoder"


class Foley:
  """How the denoiser's task trains the preset."""

  # Of the config, what a release repeats besides what all presets have.
  sections = ("clip",)

  def __init__(
    self,
    config: ml_collections.ConfigDict,
    made: system.Foley,
    codec: release.Release,
  ):
    """`codec` is what the records' latents are of."""
    self._config = config
    self._system = made
    self._codec = codec
    self._check_pictures()

  def start(self, params: state.Params) -> state.Params:
    """Fresh parameters with what the config has for a start."""
    if not self._config.frames_from:
      return params
    start = release.load(self._config.frames_from)
    conditioner = dict(params["conditioner"])
    conditioner["frame_encoder"] = start.part(
      "frame_encoder", conditioner["frame_encoder"]
    )
    return {**params, "conditioner": conditioner}

  @staticmethod
  def draw_keep(
    drop: ml_collections.ConfigDict, key: Key[Array, ""], count: int
  ) -> Bool[Array, "b 6"]:
    """Which entries each clip keeps.

    Every entry is dropped on its own with its own probability; besides, a share
    of clips keeps the frames alone and a share keeps nothing, so that both what
    most users give and the guidance's null are often practised.
    """
    one, two = jax.random.split(key)
    chances = jnp.array([drop.entries[name] for name in inputs.NAMES])
    keep = jax.random.uniform(one, (count, len(chances))) >= chances[None]
    draw = jax.random.uniform(two, (count, 1))
    only_frames = jnp.array([[name == "frames" for name in inputs.NAMES]])
    keep = jnp.where(draw < drop.all + drop.all_but_frames, only_frames, keep)
    return keep & (draw >= drop.all)

  def example(
    self, record: records.Record, rng: np.random.Generator
  ) -> dict[str, np.ndarray]:
    """A random crop of a latent record: inputs and target.

    Of a share of the masked clips the mask is dropped. What says which of the
    things in the picture sound are then the objects, which are therefore kept:
    so an object taken off the list falls silent.
    """
    arrays = record.arrays
    cut = examples.crop(record, rng, self._system, self._codec.config)
    geometry = self._system.geometry(self._system.window)
    unmasked = (
      len(arrays["object_vectors"]) > 0
      and examples.can_be_whole(record, geometry)
      and rng.random() < self._config.drop.get("mask", 0.0)
    )
    given = examples.seen_and_heard(
      record, geometry, cut.start, unmasked=unmasked
    )
    prompt = None
    if len(arrays["text_tokens"]):
      caption = int(rng.integers(len(arrays["text_tokens"])))
      prompt = inputs.Prompt(
        tokens=arrays["text_tokens"][caption].astype(np.float32),
        mask=arrays["text_mask"][caption],
      )
    # A stretch of the clip itself, from anywhere in it, stands for a recording.
    whole = cut.whole
    size = int(rng.integers(min(11, len(whole)), min(65, len(whole)) + 1))
    where = int(rng.integers(len(whole) - size + 1))
    objects = None
    if len(arrays["object_vectors"]):
      objects = inputs.ObjectFeatures(
        times=arrays["frame_times"].astype(np.float64),
        probability=arrays["object_probability"].astype(np.float32),
        vectors=arrays["object_vectors"].astype(np.float32),
      )
    example = inputs.assemble(
      geometry,
      **given,
      text=prompt,
      reference=inputs.describe_reference(whole[where : where + size]),
      objects=objects,
    )
    kept = ("objects",) if unmasked else ()
    return {
      **example,
      "latent_mean": cut.mean,
      "latent_std": cut.std,
      "never_dropped": np.array([name in kept for name in inputs.NAMES]),
    }

  def finish(self, folder: pathlib.Path) -> None:
    """Writes what a release holds besides its parts: the known words."""
    captions = {
      caption
      for record in records.Shards(mixture.folders(self._config.data.train))
      for caption in record.meta["captions"]
    }
    # What the start knew is known still; its words are captions of one word.
    start = pathlib.Path(self._config.init_from)
    if self._config.init_from and (start / vocabulary.FILE).exists():
      captions.update(vocabulary.Vocabulary.load(start).words)
    encoder = text.TextEncoder.load()
    vocabulary.Vocabulary.build(captions, encoder).save(folder)

  def _check_pictures(self) -> None:
    """Records seen by a frame encoder are of use to that encoder alone.

    Raises:
      InputError: this one is another, or is free to change.
    """
    config = self._config
    seen = {
      folder: record.meta["pictures_by"]
      for folder in (
        *mixture.folders(config.data.train),
        *config.data.validation,
      )
      if "pictures" in (record := records.Shards([folder])[0]).arrays
    }
    if not seen:
      return
    adapted = "lora" in config and config.lora.rank
    if _ENCODER not in config.frozen and not adapted:
      raise errors.InputError(
        "config: frozen",
        f"{next(iter(seen))} holds pictures: freeze {_ENCODER}",
      )
    start = config.init_from or config.frames_from
    parts = release.load(start).parts
    if config.init_from:
      parts = parts["conditioner"]
    mine = release.digest(parts["frame_encoder"])
    for folder, theirs in seen.items():
      if theirs != mine:
        raise errors.InputError(
          folder, f"its pictures are by another frame encoder than {start}'s"
        )
