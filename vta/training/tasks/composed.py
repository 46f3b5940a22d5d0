"""`composed` from records: `foley`'s examples, and modules beside a base.

What a paper adds to a frozen base is whatever its table has more than the
base's: those parameters train, and the base's are given.
"""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from vta import errors
from vta.conditioning import composed
from vta.data import mask_schedule, records
from vta.interop import release, trees
from vta.models import dit
from vta.training import state
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

  def _check_pictures(self) -> None:
    """Of use to what looks at frames; what does not may train on them too."""
    if "frames" in self._system.conditioner.config.features:
      super()._check_pictures()

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
    if "masks" in self._config and record.mask is not None:
      record = _drawn(record, rng, self._config.masks)
    example = super().example(record, rng)
    if self._config.conditioner.masked and "pictures" in example:
      raise errors.InputError(
        str(record.meta["id"]),
        "the record holds pictures under the mask alone: train on frames "
        "where frames are seen whole and masked",
      )
    return dict(composed.weigh(example, {}))


def _drawn(record, rng, chances) -> records.Record:
  """The record under a mask as it is drawn for this visit."""
  arrays = {k: v for k, v in record.arrays.items() if k != "mask"}
  drawn = mask_schedule.draw(record.mask, rng, **chances)
  if drawn is not None:
    arrays["mask"] = np.packbits(drawn > 0, axis=-1)
  return dataclasses.replace(record, arrays=arrays)


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
