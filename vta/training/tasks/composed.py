"""`composed` from records: `foley`'s examples, and modules beside a base.

What a paper adds to a frozen base is whatever its table has more than the
base's: those parameters train, and the base's are given.
"""

from __future__ import annotations

import pathlib
from collections.abc import Mapping
from typing import Any

import ml_collections
import numpy as np

from vta import errors
from vta.conditioning import composed
from vta.data import mask_schedule, mixture, records
from vta.encoders import towers
from vta.interop import exchange, release, trees
from vta.models import dit
from vta.training import state, system
from vta.training.tasks import foley

_PARTS = ("conditioner", "denoiser")


def base_paths(folder: str) -> tuple[str, ...]:
  """Paths of all parameters of a base; none without one."""
  if not folder:
    return ()
  base = release.load(folder)
  return tuple(
    f"{part}/{path}"
    for part in _PARTS
    for path in trees.flatten(base.require(part))
  )


class Composed(foley.Foley):
  """How the denoiser's task trains the preset."""

  def __init__(
    self,
    config: ml_collections.ConfigDict,
    made: system.Composed,
    codec: release.Release,
  ):
    """`codec` is what the records' latents are of."""
    super().__init__(config, made, codec)
    self._features = made.conditioner.config.features
    self._check_towers()
    for folder in (
      *mixture.folders(config.data.train),
      *config.data.validation,
    ):
      self._check_record(folder, records.Shards([folder])[0])

  def _check_pictures(self) -> None:
    """Of use to what looks at frames; what does not may train on them too."""
    config = self._system.conditioner.config
    if "frames" in config.features and self._system.frames_by is None:
      super()._check_pictures()

  @property
  def _towers(self) -> Mapping[str, pathlib.Path]:
    """The public folders that a release needs, where the config has them.

    They are no part of what trains: without them a release comes without.
    """
    made, root = self._system, self._config.get("towers", "")
    by = {made.text_by} if "text" in self._features else set()
    if {"frames", "objects"} & set(self._features):
      by.add(made.frames_by)
    by -= {None, system.TEXTS[0]}
    return {name: pathlib.Path(root) / name for name in sorted(by) if root}

  def _check_towers(self) -> None:
    """Raises InputError for a tower that is not there, or of another width."""
    made = self._system
    if made.text_by != system.TEXTS[0]:
      room = towers.TOKENS[made.text_by]
      if made.text_tokens != room:
        raise errors.InputError(
          "config: clip.text_tokens",
          f"is {made.text_tokens}, {made.text_by} has {room}",
        )
    if made.frames_by and self._config.frames_from:
      raise errors.InputError(
        "config: frames_from",
        f"{made.frames_by} sees the frames: there is no encoder to start",
      )
    for name, folder in self._towers.items():
      towers.check(
        name,
        folder,
        tokens=made.text_width
        if name == made.text_by and "text" in self._features
        else None,
        embedding=made.conditioner.config.frames.tower
        if name == made.frames_by
        else None,
      )

  def _check_record(self, folder: str, record: records.Record) -> None:
    """Raises InputError where a folder's first record is by other towers."""
    made, meta = self._system, record.meta
    widths = {k: v.shape[-1] for k, v in record.arrays.items() if v.ndim}
    geometry = made.geometry(1)
    pairs = []
    if "text" in self._features:
      pairs += [
        ("text encoder", meta.get("text_by", system.TEXTS[0]), made.text_by),
        ("tokens' width", widths["text_tokens"], geometry.text_width),
      ]
    if "objects" in self._features:
      width = geometry.object_width or geometry.text_width
      pairs.append(("labels' width", widths["object_vectors"], width))
    if {"frames", "objects"} & set(self._features):
      pairs.insert(0, ("tower", meta.get("frames_by"), made.frames_by))
    if geometry.tower and made.frames_by:
      size = [made.frame_size] * 2
      pairs += [
        ("features' width", widths.get("frame_features"), geometry.tower),
        ("frames' size", list(meta.get("frames_were", size)), size),
      ]
    for what, found, wanted in pairs:
      if found != wanted:
        raise errors.InputError(
          folder,
          f"its {what} is {found}, the model's {wanted}: encode the waves into "
          "another folder, see `python -m data_prep.encode --help`",
        )

  def start(self, params: state.Params) -> state.Params:
    """Fresh parameters with the frame encoder and the base of the config.

    Control branches start as copies of the base's first blocks.

    Raises:
      InputError: naming what the base has and this has not, or in another
        shape.
    """
    params = super().start(params)
    if self._config.base_from:
      base = release.load(self._config.base_from)
      params = {
        part: _on(base.require(part), params[part], base.folder / part)
        for part in _PARTS
      }
    return {**params, "denoiser": dit.start_controls(params["denoiser"])}

  def example(
    self, record: records.Record, rng: np.random.Generator
  ) -> dict[str, np.ndarray]:
    """A random crop of a latent record: inputs and target."""
    # What has no place may be of any width.
    unused = {"text": "text_tokens", "objects": "object_vectors"}
    arrays = {
      **record.arrays,
      **{
        name: record.arrays[name][:0]
        for feature, name in unused.items()
        if feature not in self._features
      },
    }
    record = records.Record(arrays=arrays, meta=record.meta)
    example = super().example(record, rng)
    if self._config.conditioner.masked and "pictures" in example:
      raise errors.InputError(
        str(record.meta["id"]),
        "the record holds pictures under the mask alone: train on frames "
        "where frames are seen whole and masked",
      )
    masked = record.mask is not None or "whole_features" in record.arrays
    if masked and "masks" in self._config:
      # After the base's own draws, so that beside it clips are cut as for it.
      example = _drawn(example, rng, self._config.masks)
    return dict(composed.weigh(example, {}))

  def finish(self, folder: pathlib.Path) -> None:
    """Writes what a release holds besides its parts: its towers.

    Or the known words, which are MiniLM's matter: larger encoders have seen
    more than any list of them holds.
    """
    for name, source in self._towers.items():
      if (folder / name).exists():
        continue
      # Public folders have the same weights in other forms too.
      if source.is_symlink() or not any(source.glob("*.safetensors")):
        release.copy(source, folder / name)
      else:
        exchange.copy_files(source, folder / name)
    if self._system.text_by == system.TEXTS[0]:
      super().finish(folder)


def _drawn(
  example: Mapping[str, np.ndarray],
  rng: np.random.Generator,
  chances: ml_collections.ConfigDict,
) -> dict[str, np.ndarray]:
  """A masked example under a mask as it is drawn for this visit.

  A tower has seen its record under one mask, and whole: boxes stay as they are.
  """
  if "mask" in example:
    drawn = mask_schedule.draw(example["mask"], rng, **chances)
    mask = np.full_like(example["mask"], 255) if drawn is None else drawn
    return {**example, "mask": mask}
  if rng.random() < chances.boxes + chances.union:
    return dict(example)
  return {**example, "frame_features": example["whole_features"]}


def _on(
  base: Mapping[str, Any], fresh: Mapping[str, Any], where: pathlib.Path
) -> dict[str, Any]:
  """`fresh` with everything that the base has."""
  theirs, mine = trees.flatten(base), trees.flatten(fresh)
  wrong = trees.shape_mismatches(
    {path: mine[path].shape for path in theirs if path in mine},
    {path: leaf.shape for path, leaf in theirs.items()},
  )
  if wrong:
    raise errors.InputError(
      where, f"{len(wrong)} arrays do not fit the model: {trees.summary(wrong)}"
    )
  return trees.unflatten({**mine, **theirs})
