"""A cue sheet from a silent clip: all that networks can say of it.

SonicVisionLM's flow (papers.md 2.3): the video is cut into shots, and each is
a track that is on screen, with what it sounds like and when, its pan from where
that is in the picture. Every track says where its fields came from; for what
is missing the reason is kept.

Ours: loudness, objects and masks too, from the other papers' predictors;
outside of its shot a track is silent and its things are not there; a shot in
which nothing says when or how loud is one event; a track whose loudness is
predicted, left and right, has no pan, which would place it twice.
"""

from __future__ import annotations

import dataclasses
import itertools
import os
from collections.abc import Mapping

import numpy as np
from jaxtyping import Float

from vta.inference import finders as finders_lib
from vta.media import shots
from vta.signals import cues, timing
from vta.signals import events as events_lib
from vta.signals import loudness as loudness_lib
from vta.signals import objects as objects_lib

_STEP = 1e-3  # s: what times in a predicted sheet are rounded to
_SHORTEST = 0.01  # s: what a cut leaves of an event, at least


@dataclasses.dataclass(frozen=True, kw_only=True)
class Prediction:
  """A cue sheet and what it lacks.

  Attributes:
    sheet: with the sources of everything in it.
    shots: start and end of each track's, s.
    missing: of each track, field -> why there is none.
  """

  sheet: cues.CueSheet
  shots: tuple[tuple[float, float], ...]
  missing: tuple[Mapping[str, str], ...]


def predict(
  path: str | os.PathLike, *, duration: float, request: finders_lib.Request
) -> Prediction:
  """What is to be heard with a video of `duration` seconds.

  Everything is loaded before anything runs: what can be refused is refused at
  once.

  Raises:
    InputError: naming the file or folder that cannot be used.
  """
  # As the sheet has it; a frame's rounding may make a clip of 1 s shorter.
  low, high = cues.MIN_DURATION, cues.MAX_DURATION
  duration = round(min(max(duration, low), high), 3)
  finders = finders_lib.Finders(request, duration=duration)
  if request.one_track:
    spans, said = [(0.0, duration)], "the whole clip, as asked for"
  else:
    spans, said = _shots(path, duration), "shots, by FFmpeg's scdet"
  loudness, timed = finders.listen(path, duration)
  tracks, missing = [], []
  for start, end in spans:
    text = finders.narrate(path, start, end)
    events = timed(text.value)
    found = {
      "on_screen": finders_lib.Finding(value=True, said=said),
      "text": text,
      **_heard(loudness, events, start, end, duration),
    }
    seen = finders.look(path, start, end, text.value)
    placed = found["loudness"].value is not None
    found |= _seen(seen, start, end, duration, placed=placed)
    there = {n: f for n, f in found.items() if f.value is not None}
    tracks.append(
      cues.Track(
        **{name: finding.value for name, finding in there.items()},
        sources={name: finding.said for name, finding in there.items()},
      )
    )
    missing.append({n: f.said for n, f in found.items() if f.value is None})
  sheet = cues.CueSheet(duration=duration, tracks=tuple(tracks))
  return Prediction(
    sheet=cues.rounded(sheet), shots=tuple(spans), missing=tuple(missing)
  )


def _shots(
  path: str | os.PathLike, duration: float
) -> list[tuple[float, float]]:
  """Starts and ends in whole milliseconds, up to the sheet's end."""
  starts = {round(start, 3) for start, _ in shots.shots(path)}
  inside = sorted(t for t in starts if 0.0 < t < duration)
  return list(itertools.pairwise([0.0, *inside, duration]))


def _heard(
  loudness: finders_lib.Finding,
  events: finders_lib.Finding,
  start: float,
  end: float,
  duration: float,
) -> dict[str, finders_lib.Finding]:
  """A clip's loudness and events, and silence outside of a shot."""
  part = (start, end) != (0.0, duration)
  if loudness.value is not None:
    times, outside = _stamps(loudness.value.times, start, end, duration)
    lufs = loudness.value.resample(times).lufs
    lufs = np.where(outside[:, None], loudness_lib.FLOOR, lufs)
    curve = loudness_lib.Loudness(times=times, lufs=lufs)
    loudness = dataclasses.replace(loudness, value=curve)
  if events.value is not None:
    inside = events.value.erase(0.0, start).erase(end, duration).intervals
    inside = inside[inside[:, 1] - inside[:, 0] >= _SHORTEST]
    events = dataclasses.replace(
      events, value=events_lib.Events(intervals=inside)
    )
  elif part and loudness.value is None:
    events = finders_lib.Finding(
      value=events_lib.Events(intervals=np.array([[start, end]])),
      said="the shot, since nothing says when in it",
    )
  return {"events": events, "loudness": loudness}


def _seen(
  seen: finders_lib.Finding,
  start: float,
  end: float,
  duration: float,
  *,
  placed: bool,
) -> dict[str, finders_lib.Finding]:
  """What was detected as objects, masks and pan; `placed` has it a side."""
  if seen.value is None:
    return dict.fromkeys(("objects", "masks", "pan"), seen)
  known = seen.value.objects()
  times, outside = _stamps(known.times, start, end, duration)
  probability = known.resample(times).probability
  # What is not in this shot is left out: on the list, it would be muted.
  objects = objects_lib.Objects(
    labels=known.labels,
    times=times,
    probability=np.where(outside[:, None], 0.0, probability),
  ).present()
  none = f"no box for {', '.join(known.labels)}"
  if seen.value.boxes is None:
    none = f"{seen.said.partition(',')[0]} gives no boxes"
  masks, pan = seen.value.masks(start, end), seen.value.pan()
  side = "the boxes' mean middle"
  if pan is not None and placed:
    pan, side = None, "the loudness of left and right has it already"
  return {
    "objects": dataclasses.replace(seen, value=objects)
    if objects is not None
    else finders_lib.Finding(
      value=None, said=f"{', '.join(known.labels)}: nowhere in this shot"
    ),
    "masks": finders_lib.Finding(
      value=masks, said=none if masks is None else f"boxes of {seen.said}"
    ),
    "pan": finders_lib.Finding(value=pan, said=none if masks is None else side),
  }


def _stamps(
  times: Float[np.ndarray, "n"], start: float, end: float, duration: float
) -> tuple[Float[np.ndarray, "m"], np.ndarray]:
  """A curve's stamps within a shot, and one just outside at either cut.

  Whole milliseconds, so that no two become the same when they are rounded.

  Returns:
    the stamps, and which of them are outside.
  """
  inside = np.unique(np.round(times, 3))
  near = (inside > start + 1.5 * _STEP) & (inside < end - 1.5 * _STEP)
  inside = timing.knots(inside[near], start, end)
  before = [start - _STEP] if start > 0.0 else []
  after = [end + _STEP] if end < duration else []
  stamps = np.concatenate([before, inside, after])
  return stamps, (stamps < start) | (stamps > end)
