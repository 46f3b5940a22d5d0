"""What ablations compare: per clip some evidence, per set of clips a number.

The papers measure with networks that were trained on recordings (OpenL3, PaSST,
CLAP, ...). The yard needs none: its truth is exact. Each measure here says
which of the papers' it stands beside; none of them is theirs.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from vta.data.yard import truth
from vta.evaluation import rows, stand
from vta.metrics import frechet, intervals, onsets, spectral
from vta.metrics import loudness as loudness_metric
from vta.signals import events as events_lib
from vta.signals import loudness as loudness_lib
from vta.signals import timing

_EVENT_RATE = 100.0

Wave = Float[np.ndarray, "t 2"]
Evidence = Float[np.ndarray, "n *d"]


def _mean(made: Evidence, true: Evidence) -> float:
  return rows.mean(made)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Measure:
  """One column.

  Attributes:
    name: with its unit.
    higher: whether more is better.
    of: evidence of one clip's sound.
    value: of a set: evidence of what was made, and of the true sounds.
  """

  name: str
  higher: bool
  of: Callable[[stand.Clip, Wave], np.ndarray | float]
  value: Callable[[Evidence, Evidence], float] = _mean


def _onset_f1(clip: stand.Clip, wave: Wave) -> float:
  true = truth.onsets(clip.staged)
  if not len(true):
    return math.nan
  return onsets.score(true, onsets.librosa_onsets(wave)).f1


def _event_iou(clip: stand.Clip, wave: Wave) -> float:
  times = timing.centres(int(stand.DURATION * _EVENT_RATE), _EVENT_RATE)
  return intervals.event_iou(
    events_lib.to_binary(truth.events(clip.heard), times),
    events_lib.to_binary(events_lib.from_wave(wave), times),
  )


def _loudness(clip: stand.Clip, wave: Wave):
  return loudness_metric.compare(
    truth.loudness(clip.heard), loudness_lib.momentary(wave)
  )


def _outside(clip: stand.Clip, wave: Wave) -> float:
  heard = spectral.source_energies(clip.heard.stems, wave)
  return heard.ratio_db(1, 0) if heard.energy.any() else math.nan


def _frechet(made: Evidence, true: Evidence) -> float:
  width = made.shape[-1]
  return frechet.distance(made.reshape(-1, width), true.reshape(-1, width))


# Beside FD and FAD: of 40 mel bands' levels, second by second.
DISTANCE = Measure(
  name="FD of band levels, dB^2",
  higher=False,
  of=lambda clip, wave: spectral.band_levels(wave, seconds=1.0),
  value=_frechet,
)
# Beside KL and CLAP: whether it is this clip's sound, whenever it comes.
SPECTRUM = Measure(
  name="spectrum's error, dB",
  higher=False,
  of=lambda clip, wave: float(
    np.abs(
      spectral.band_levels(wave) - spectral.band_levels(clip.heard.wave)
    ).mean()
  ),
)
# Beside AV-Align and onset AP.
ONSETS = Measure(name="onset F1", higher=True, of=_onset_f1)
# SonicVisionLM's own, on the yard's events.
EVENTS = Measure(name="event IoU", higher=True, of=_event_iou)
LUFS = Measure(
  name="LUFS error, LU",
  higher=False,
  of=lambda clip, wave: rows.mean(_loudness(clip, wave).error),
)
LUFS_CORRELATION = Measure(
  name="LUFS correlation",
  higher=True,
  of=lambda clip, wave: rows.mean(_loudness(clip, wave).correlation),
)
# Of two things in view, the one without a mask against the one with it.
OUTSIDE = Measure(name="masked-out source, dB", higher=False, of=_outside)
