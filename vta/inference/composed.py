"""A job as the inputs of `composed`: of `foley`'s controls, those it has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vta import errors
from vta.inference import foley, windows
from vta.inference.job import Job, Row
from vta.interop import release as release_lib
from vta.training import system as system_lib

# Field of a track -> the feature that it is for. A loudness curve is obeyed by
# the sampler too (`vta.inference.drawn`), whatever the preset.
_FEATURES = {
  "text": "text",
  "events": "events",
  "objects": "objects",
  "masks": "frames",
  "reference": "reference",
}


class Reader(foley.Reader):
  """Reads what the table has a place for, and refuses the rest by name."""

  def __init__(
    self,
    system: system_lib.Composed,
    release: release_lib.Release,
    encode_wave: foley.EncodeWave,
  ):
    """`encode_wave` is of no use here: there is no place for references."""
    super().__init__(system, release, encode_wave)
    self._features = system.conditioner.config.features

  def inputs(
    self, job: Job, cover: windows.Windows
  ) -> tuple[list[Row], list[Row]]:
    """Of every window: the inputs, and what differs for the null branch.

    Raises:
      InputError: the track has a signal that the preset has no place for.
    """
    for field, feature in _FEATURES.items():
      if (
        feature not in self._features and getattr(job.track, field) is not None
      ):
        raise errors.InputError(
          f"tracks: {field}",
          f"this checkpoint takes {', '.join(self._features)} alone",
        )
    return super().inputs(job, cover)

  def _away_from(self, job: Job, mask) -> Mapping[str, Any]:
    """Nothing: the papers' null of a picture is no picture."""
    return {}
