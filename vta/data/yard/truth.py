"""Every signal of a scene, as it truly is.

Each function takes the scene and, optionally, the indices of the sources that
it shall speak of (all by default), so that tracks have their own truth.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from vta.data.yard import scene, sound
from vta.signals import events as events_lib
from vta.signals import loudness as loudness_lib
from vta.signals import masks as masks_lib
from vta.signals import objects as objects_lib
from vta.signals import timing

KEYFRAME_RATE = 15.0


def _chosen(staged, sources):
  indices = range(len(staged.sources)) if sources is None else sources
  return [staged.sources[i] for i in indices]


def events(
  heard: sound.SceneSound, sources: Sequence[int] | None = None
) -> events_lib.Events:
  """When something is heard: some stem, as loud as it is in the mix.

  Above -40 dB of full scale in frames of 10 ms (`events_lib.from_wave`), stem
  by stem, so that the events of tracks merge to those of the scene.
  """
  chosen = range(len(heard.stems)) if sources is None else sources
  intervals = [np.zeros((0, 2))]
  for i in chosen:
    found = events_lib.from_wave(heard.stems[i], rate=heard.rate)
    intervals.append(found.intervals)
  return events_lib.merged(np.concatenate(intervals), gap=events_lib.MERGE_GAP)


def onsets(
  staged: scene.Scene, sources: Sequence[int] | None = None
) -> Float[np.ndarray, " k"]:
  """When something begins at once: contacts, and lasting sounds from silence.

  What comes from afar has no onset, nor what the clip's start cuts off.
  """
  times = [np.zeros(0)]
  for source in _chosen(staged, sources):
    times.append(source.contacts)
    # A saw's strokes start with its contacts; a train comes from afar.
    if not len(source.contacts):
      starts = source.intervals[:, 0]
      speed = np.linalg.norm(source.route.velocity(starts + 1e-3), axis=-1)
      times.append(starts[(speed < 1.0) & (starts > 0.0)])
  return np.sort(np.concatenate(times))


def loudness(
  heard: sound.SceneSound, sources: Sequence[int] | None = None
) -> loudness_lib.Loudness:
  """Momentary LUFS of the rendered sound, or of some of its stems."""
  wave = heard.wave
  if sources is not None:
    wave = heard.stems[list(sources)].sum(axis=0)
  return loudness_lib.momentary(wave, rate=heard.rate)


def masks(
  staged: scene.Scene, sources: Sequence[int] | None = None
) -> masks_lib.Masks:
  """Boxes that hold each on-screen source's pixels while it is in the frame.

  A thing that leaves and comes back is two regions. Where nothing is seen the
  masks are empty, which is not the same as None, the whole frame.
  """
  regions = []
  for source in _chosen(staged, sources):
    if not source.on_screen:
      continue
    times = _keyframes(staged, source)
    corners = staged.box(source, times)
    inside = _visible(corners) > 0.0
    if source.thing == "rain":  # only seen while it falls
      inside &= source.active(times) > 0.0
    for first, last in _runs(inside):
      # One keyframe more on each side, where it is about to come or just gone.
      first, last = max(first - 1, 0), min(last + 1, len(times))
      span = (float(times[first]), float(times[last - 1]) + 1e-3)
      regions.append(
        masks_lib.Box(
          times=times[first:last],
          corners=np.clip(corners[first:last], 0.0, 1.0),
          span=(span[0], min(span[1], staged.duration)),
          label=source.thing,
        )
      )
  return masks_lib.Masks(regions=tuple(regions))


def _keyframes(staged, source):
  """15 a second and the source's own turning points, 0 and duration too."""
  count = int(np.ceil(staged.duration * KEYFRAME_RATE))
  even = np.minimum(np.arange(count + 1) / KEYFRAME_RATE, staged.duration)
  own = np.concatenate([source.route.times, source.intervals.ravel()])
  own = own[(own > 0.0) & (own < staged.duration)]
  times = np.union1d(even, own)
  # Two stamps of one moment, a rounding error apart, would be no keyframes.
  return times[np.append(True, np.diff(times) > 1e-6)]


def _visible(corners):
  """Share of each box that lies in the frame."""
  cut = np.clip(corners, 0.0, 1.0)
  seen = (cut[:, 2] - cut[:, 0]) * (cut[:, 3] - cut[:, 1])
  whole = (corners[:, 2] - corners[:, 0]) * (corners[:, 3] - corners[:, 1])
  return np.where(np.isfinite(whole), seen / whole, seen)


def _runs(inside):
  """(first, past the last) of each run of True."""
  change = np.flatnonzero(np.diff(inside, prepend=False, append=False))
  return change.reshape(-1, 2)


def objects(
  staged: scene.Scene,
  sources: Sequence[int] | None = None,
  *,
  rate: float = 10.0,
) -> objects_lib.Objects:
  """How surely each source can be seen: the share of its box in the frame.

  Args:
    rate: of the time stamps, Hz; they are centres of bins.
  """
  chosen = _chosen(staged, sources)
  times = timing.centres(max(1, int(staged.duration * rate)), rate)
  columns = [np.zeros((len(times), 0))]
  for source in chosen:
    seen = _visible(staged.box(source, times))
    if source.thing == "rain":
      seen = seen * source.active(times)
    elif np.isinf(source.extent[0]):
      seen = (seen > 0.0).astype(np.float64)  # a stream's share is its height
    columns.append((seen * source.on_screen)[:, None])
  return objects_lib.Objects(
    labels=tuple(source.thing for source in chosen),
    times=times,
    probability=np.concatenate(columns, axis=-1),
  )


def pan(
  staged: scene.Scene, source: int, times: Float[np.ndarray, " f"]
) -> Float[np.ndarray, " f"]:
  """Where a source is heard: -1 left .. 1 right; its stem has this pan."""
  return staged.pan(staged.sources[source], times)
