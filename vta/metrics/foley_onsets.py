"""Onset accuracy and average precision, as foley papers report them.

CondFoleyGen (Du et al. 2023, predict_onset.py in XYPB/CondFoleyGen), then
SonicVisionLM: mono at 22,050 Hz, the first 2 s. MMAudio's eval_onsets.py uses
one number, 0.3, both as librosa's threshold and as the tolerance in seconds:
its scores are not those of +-0.1 s. What is here is what that code does, with
its oddities, which `score` names; `vta.metrics.onsets` has the plain F1.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Literal

import numpy as np
import soxr
from jaxtyping import Float, Int

from vta.metrics import detection

RATE = 22_050
Variant = Literal["condfoleygen", "mmaudio"]

_DELTA = 0.3  # of librosa.util.peak_pick, and MMAudio's tolerance
_TOLERANCE = {"condfoleygen": 0.1, "mmaudio": _DELTA}  # s
_AROUND = int(0.05 * RATE)
_APART = 0.05 * RATE


@dataclasses.dataclass(frozen=True, kw_only=True)
class FoleyScore:
  """Attributes:
  hits: onsets of the truth that were answered.
  reference: onsets of the truth.
  estimated: onsets found, before those close to a louder one are dropped:
    the counts that SonicVisionLM's Onset Acc holds together.
  accuracy: hits / reference; 0 where the truth has none.
  average_precision: of the loudness of onsets; NaN where neither has any.
  f1: of hits among the truth's onsets and those found and kept.
  """

  hits: int
  reference: int
  estimated: int
  accuracy: float
  average_precision: float
  f1: float

  @property
  def same_count(self) -> bool:
    """SonicVisionLM's Onset Acc is the share of clips where this holds."""
    return self.reference == self.estimated


def mono(
  wave: Float[np.ndarray, "t c"], *, rate: int, seconds: float = 2.0
) -> Float[np.ndarray, " n"]:
  """The first seconds as the detector wants them: channels' mean at `RATE`."""
  mixed = soxr.resample(wave.mean(axis=1), rate, RATE)
  return mixed[: int(seconds * RATE)]


def detect(wave: Float[np.ndarray, " n"]) -> Int[np.ndarray, " k"]:
  """Onsets of a wave at `RATE`, in samples: librosa with threshold 0.3."""
  import librosa  # 1 s to import

  return librosa.onset.onset_detect(
    y=wave, sr=RATE, units="samples", delta=_DELTA
  ).astype(np.int64)


def score(
  reference: Int[np.ndarray, " n"],
  estimated: Int[np.ndarray, " m"],
  wave: Float[np.ndarray, " t"],
  *,
  variant: Variant,
) -> FoleyScore:
  """Scores the onsets of a generated wave.

  Each true onset in turn takes, of the free onsets within the tolerance
  (exclusive), the one at whose very sample the wave is loudest. An oddity of
  the average precision, kept: true onsets that are missed come last, so that a
  wave without a wrong onset has 1 however many it misses, silence too. Report
  it beside the accuracy. Ours: an onset in the first 50 ms, on which that code
  stops, is weighed on what there is; MMAudio's F1 is the harmonic mean of hits
  / truth and hits / kept.

  Args:
    reference: of the truth, samples at `RATE`: `detect` of its wave, or
      annotated ones.
    estimated: of the generated wave, samples at `RATE`.
    wave: the generated wave at `RATE`.
    variant: condfoleygen weighs by |wave| and matches within 0.1 s; mmaudio
      by the wave itself and within 0.3 s.
  """
  level = _level(wave, variant)
  kept = _keep_loudest(estimated, level)
  free = list(kept)
  target, weight, hits = [], [], 0
  for onset in reference:
    near = [k for k in free if abs(k - onset) < _TOLERANCE[variant] * RATE]
    target.append(1.0)
    if not near:
      weight.append(0.0)
      continue
    # The last of equals, which is what argsort's last is.
    best = max(near, key=lambda k: (level[k], k))
    weight.append(_confidence(best, level))
    free.remove(best)
    hits += 1
  target += [0.0] * len(free)
  weight += [_confidence(k, level) for k in free]
  total = len(reference) + len(kept)
  return FoleyScore(
    hits=hits,
    reference=len(reference),
    estimated=len(estimated),
    accuracy=hits / len(reference) if len(reference) else 0.0,
    average_precision=(
      detection.average_precision(np.array(target), np.array(weight))
      if total
      else math.nan
    ),
    f1=2 * hits / total if total else 0.0,
  )


def _level(wave, variant):
  level = np.abs(wave) if variant == "condfoleygen" else wave
  low, high = level.min(initial=np.inf), level.max(initial=-np.inf)
  return (level - low) / (high - low) if high > low else np.zeros_like(level)


def _confidence(onset, level):
  return float(level[max(onset - _AROUND, 0) : onset + _AROUND].max())


def _keep_loudest(onsets, level):
  """Onsets without those within 50 ms of a louder one, in order.

  As published: the neighbour after one that is dropped gets away, because the
  list is shortened while it is gone through.
  """
  left = [int(onset) for onset in onsets]
  weights = [_confidence(onset, level) for onset in left]
  kept = []
  for i in np.argsort(weights)[::-1]:
    onset = int(onsets[i])
    if onset not in left:
      continue
    kept.append(onset)
    left.remove(onset)
    for other in left:
      if abs(onset - other) < _APART:
        left.remove(other)
  return sorted(kept)
