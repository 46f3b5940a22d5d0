"""Clips of a media file to wave records.

A clip that lasts longer than a record may is cut into equal parts. Frames are
read as the checkpoint that is to be trained wants them; loudness is measured of
the sound as `vta measure` does.

Events are what the data set says sounds and when, where it says so, and what
`vta measure` finds in the sound, where it does not; `events_by` in a record's
meta says which. A set's labelled events are objects as well: their intervals at
the frames' times are `object_sounding`, and `object_probability` too, since a
set that was listened to does not say what is in the picture; an annotator may.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import pathlib
from collections.abc import Sequence

import numpy as np

from data_prep.sets import entry as entry_lib
from vta import errors
from vta.data import records
from vta.interop import release as release_lib
from vta.media import read
from vta.signals import events as events_lib
from vta.signals import loudness as loudness_lib
from vta.signals import timing

# A clip that lasts little longer than a record may stays whole: of 10.03 s, as
# cameras make them of ten, two halves would be a pity.
_LEAVE = 0.05
# Seconds that an event of no length sounds: a hit that a set has the time of.
_INSTANT = 0.1
# Presets that do not see at a rate of their own: what LanguageBind and the LUFS
# predictor look at, and what nobody looks at.
_LOOKS = {"tri_ergon": (6.0, 224), "stable_audio": (1.0, 64)}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Look:
  """How a checkpoint sees: frames a second, and their side in pixels."""

  rate: float
  size: int

  @classmethod
  def of_release(cls, folder: pathlib.Path) -> Look:
    """What a release's config says.

    Raises:
      InputError: it is none, or its preset sees nothing.
    """
    config = release_lib.read_config(folder)
    preset = config.get("preset")
    if clip := config.get("clip"):
      return cls(rate=clip["frame_rate"], size=int(clip["frame_size"]))
    if preset not in _LOOKS:
      raise errors.InputError(
        folder / "config.json", f"preset: {preset!r} is not tuned on videos"
      )
    rate, size = _LOOKS[preset]
    return cls(rate=rate, size=size)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Clip:
  """An entry, and the stretch of the file that it turned out to be, s."""

  entry: entry_lib.Entry
  start: float
  end: float


def parts(duration: float, longest: float) -> list[tuple[float, float]]:
  """Start and end of equal parts of a clip, none much longer than `longest`."""
  count = max(math.ceil(duration / longest - _LEAVE), 1)
  edges = [duration * i / count for i in range(count + 1)]
  return list(itertools.pairwise(edges))


def stretch(wave: np.ndarray, start: float, end: float) -> np.ndarray:
  """The samples of a stretch, s; silence where there are none."""
  first, last = (round(t * timing.SAMPLE_RATE) for t in (start, end))
  part = wave[first:last]
  return np.pad(part, ((0, last - first - len(part)), (0, 0)))


def cut(
  path: pathlib.Path,
  clips: Sequence[Clip],
  *,
  look: Look | None,
  longest: float,
) -> list[records.Record]:
  """The records of clips that are stretches of one file.

  Args:
    path: the file.
    clips: the clips.
    look: how frames are read; None leaves them out.
    longest: seconds of a record.

  Raises:
    InputError: the file cannot be read.
  """
  wave = read.read_audio(path)
  asked = [
    (clip, number, clip.start + a, clip.start + b)
    for clip in clips
    for number, (a, b) in enumerate(parts(clip.end - clip.start, longest))
  ]
  stamps, images = [np.zeros(0)] * len(asked), [None] * len(asked)
  if look:
    stamps = [
      np.arange(math.ceil((b - a) * look.rate)) / look.rate
      for _, _, a, b in asked
    ]
    # All at once: the video is decoded once.
    seen = read.read_frames(
      path,
      times=np.concatenate(
        [a + own for (_, _, a, _), own in zip(asked, stamps, strict=True)]
      ),
      height=look.size,
      width=look.size,
    ).images
    images = np.split(seen, np.cumsum([len(own) for own in stamps])[:-1])
  return [
    _record(
      stretch(wave, start, end),
      shown,
      own,
      entry=clip.entry,
      number=number,
      within=(start - clip.start, end - clip.start),
      start=start,
    )
    for (clip, number, start, end), own, shown in zip(
      asked, stamps, images, strict=True
    )
  ]


def _record(
  wave: np.ndarray,
  images: np.ndarray | None,
  times: np.ndarray,
  *,
  entry: entry_lib.Entry,
  number: int,
  within: tuple[float, float],
  start: float,
) -> records.Record:
  # Of the samples as they are kept: full scale and not beyond.
  kept = np.clip(np.round(wave * 32768.0), -32768, 32767).astype(np.int16)
  wave = kept.astype(np.float32) / 32768.0
  loudness = loudness_lib.momentary(wave)
  told = _told(entry, *within)
  if entry.events:
    events = events_lib.merged(
      np.array([(a, b) for a, b, _ in told]).reshape(-1, 2)
    )
  else:
    events = events_lib.from_wave(wave)
  arrays = {
    "wave": kept,
    "loudness": loudness.lufs.astype(np.float32),
    "loudness_times": loudness.times.astype(np.float32),
    "events": events.intervals.astype(np.float32),
  }
  objects: list[str] = []
  if images is not None:
    objects = sorted({label for _, _, label in told if label})
    sounding = np.zeros((len(times), len(objects)), bool)
    for a, b, label in told:
      if label:
        sounding[(times >= a) & (times < b), objects.index(label)] = True
    arrays |= {
      "frames": images,
      "frame_times": times.astype(np.float32),
      "object_probability": sounding.astype(np.float16),
    }
    if entry.events:
      arrays["object_sounding"] = sounding
  return records.Record(
    arrays=arrays,
    meta={
      "id": f"{entry.id}-{number}",
      "duration": within[1] - within[0],
      "captions": list(entry.captions),
      "objects": objects,
      "labels": list(entry.labels),
      "file": entry.media,
      "start": start,
      "source": entry.source,
      "licence": entry.licence,
      "events_by": "set" if entry.events else "wave",
      "set_events": [[a, b, label] for a, b, label in told],
    },
  )


def _told(
  entry: entry_lib.Entry, start: float, end: float
) -> list[tuple[float, float, str]]:
  """The set's events between two times of the clip, from `start` on."""
  found = []
  for event in entry.events:
    a = max(event.start, start)
    b = min(max(event.end, event.start + _INSTANT), end)
    if a < b:
      found.append((a - start, b - start, event.label))
  return sorted(found)
