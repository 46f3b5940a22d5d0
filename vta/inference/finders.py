"""Who says what of a silent clip: a field of a track with its source.

Annotators are imported when a request names one, and never before.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float

from vta import errors
from vta.inference import generator, heads, lufs
from vta.interop import release as release_lib
from vta.media import read
from vta.signals import timing

# Frames a second that a detector looks at: the least of papers.md 1.3's.
DETECT_RATE = 2.0
# SonicVisionLM's event detector: frames a second, and the side it scales to.
_EVENT_RATE, _EVENT_SIZE = 15, 128
# The presets of releases that find events.
_DETECTOR, _LABELS = "event_detector", "label_similarity"
# What Grounding DINO makes of a frame's longer side; others make less of it.
_LONGEST = 1333  # pixels

_Path = str | os.PathLike


@dataclasses.dataclass(frozen=True, kw_only=True)
class Request:
  """What is to look at a clip; None is nothing.

  Attributes:
    predictor: release with heads; None is the starter.
    lufs: release of a LUFS predictor, in place of the heads' loudness.
    events: release of an event detector, or of a label similarity, which finds
      events of `labels`; in place of the heads' events.
    text: what it sounds like, for every track.
    describe: folder of a vision-language model that says what it sounds like.
    detect: folder of a detector, or a file of objects.
    labels: what is to be detected, and heard by a label similarity; None is
      the text's nouns.
    one_track: one track of the whole clip in place of one a shot.
  """

  predictor: _Path | None = None
  lufs: _Path | None = None
  events: _Path | None = None
  text: str | None = None
  describe: _Path | None = None
  detect: _Path | None = None
  labels: tuple[str, ...] | None = None
  one_track: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class Finding:
  """What was found, None for nothing, and its source, or why there is none."""

  value: Any
  said: str


class Finders:
  """Everything that a request names, loaded."""

  def __init__(self, request: Request, *, duration: float):
    """Loads for a clip of `duration` seconds.

    Raises:
      InputError: naming the file or folder that cannot be used.
    """
    self._request = request
    self._heads = self._lufs = self._events = self._by_label = None
    self._describer = self._detector = None
    kind = None if request.events is None else _event_kind(request.events)
    named = request.detect is not None or kind == _LABELS
    if request.labels is not None and not named:
      raise errors.InputError(
        "--labels",
        "is of no use without --detect, or --events of a label similarity",
      )
    if request.lufs is None or request.events is None:
      self._heads = _load_heads(request.predictor)
    elif request.predictor is not None:
      raise errors.InputError(
        request.predictor, "--lufs and --events leave it nothing to predict"
      )
    if request.lufs is not None:
      self._lufs = lufs.LufsReader(request.lufs)
    if kind == _LABELS:
      from vta.inference import label_events

      self._by_label = label_events.LabelReader(request.events)
    elif kind == _DETECTOR:
      from vta.inference import detection

      self._events = detection.EventDetector.load(request.events)
    if request.describe is not None:
      from vta.annotators import describe

      self._describer = describe.Describer(request.describe)
    if request.detect is not None:
      from vta.annotators import detect

      self._detector = detect.load(request.detect, duration=duration)

  def listen(
    self, path: _Path, duration: float
  ) -> tuple[Finding, Callable[[str | None], Finding]]:
    """Loudness of the whole clip, and its events, given a shot's text."""
    request = self._request
    starter = f"{_name(generator.STARTER)} holds no heads; name a --predictor"
    loudness = events = Finding(value=None, said=starter)
    if self._heads is not None:
      expected = self._heads.predict(path, duration)
      said = f"heads of {_name(request.predictor or generator.STARTER)}"
      loudness = Finding(value=expected.loudness, said=said)
      events = Finding(value=expected.events, said=said)
    if self._lufs is not None:
      loudness = Finding(
        value=self._lufs.predict(path, duration),
        said=f"LUFS predictor {_name(request.lufs)}",
      )
    if self._events is not None:
      count = max(int(duration * _EVENT_RATE), 1)
      times = np.arange(count) / _EVENT_RATE
      side = _EVENT_SIZE
      frames = read.read_frames(path, times=times, height=side, width=side)
      events = Finding(
        value=self._events.predict(frames.images, times, duration),
        said=f"event detector {_name(request.events)}",
      )
    if self._by_label is None:
      return loudness, lambda _: events
    seen = self._by_label.look(path, duration)
    return loudness, functools.partial(self._named, seen, duration)

  def _named(self, seen: Any, duration: float, text: str | None) -> Finding:
    """When what is looked for sounds, all of it together."""
    from vta.inference import label_events

    labels, whence = self._labels(text)
    if labels is None:
      return Finding(value=None, said=whence)
    found = self._by_label.similarity(seen, labels)
    return Finding(
      value=label_events.union(label_events.events(found, duration)),
      said=f"label similarity {_name(self._request.events)} for "
      f"{', '.join(labels)}{whence}",
    )

  def narrate(self, path: _Path, start: float, end: float) -> Finding:
    """What a shot sounds like, in words."""
    if self._request.text is not None:
      return Finding(value=self._request.text, said="user")
    if self._describer is None:
      return Finding(value=None, said="neither --text nor --describe is given")
    from vta.annotators import describe

    images = _frames(path, describe.frame_times(start, end)).images
    model = _name(self._request.describe)
    text = self._describer.describe(images)
    if not text:
      return Finding(value=None, said=f"{model} says nothing")
    return Finding(value=text, said=f"{model}, from {len(images)} frames")

  def look(
    self, path: _Path, start: float, end: float, text: str | None
  ) -> Finding:
    """What a detector finds in a shot: `detections.Detections`."""
    if self._detector is None:
      return Finding(value=None, said="no --detect is given")
    labels, whence = self._detector.labels, ""
    if labels is None or self._request.labels is not None:
      labels, whence = self._labels(text)
    if labels is None:
      return Finding(value=None, said=whence)
    said = _name(self._request.detect) + whence
    count = max(round((end - start) * DETECT_RATE), 1)
    times = timing.centres(count, count / (end - start), start)
    found = self._detector.detect(_frames(path, times), labels)
    return Finding(value=found, said=said)

  def _labels(self, text: str | None) -> tuple[tuple[str, ...] | None, str]:
    """What to look for, and where that is from; or None, and why."""
    if self._request.labels is not None:
      return self._request.labels, ""
    if text is None:
      return None, "there is no text to take nouns from; name --labels"
    from vta.annotators import nouns

    found = nouns.nouns(text)
    if not found:
      return None, f"{text!r} has no nouns"
    return found, ", looking for the text's nouns"


def _event_kind(folder: _Path) -> str:
  """What finds events in a release.

  Raises:
    InputError: nothing does.
  """
  folder = pathlib.Path(folder)
  found = release_lib.read_config(folder).get("preset")
  if found not in (_DETECTOR, _LABELS):
    raise errors.InputError(
      folder / "config.json",
      f"preset: expected {_DETECTOR!r} or {_LABELS!r}, found {found!r}",
    )
  return found


def _load_heads(folder: _Path | None) -> heads.Heads | None:
  """The heads of a release; none if nobody named one and the starter has none.

  Raises:
    InputError: naming what is missing or does not fit.
  """
  if folder is None:
    folder = generator.STARTER
    if heads.PART not in release_lib.read_config(folder)["parts"]:
      return None
  return heads.Heads(folder)


def _frames(path: _Path, times: Float[np.ndarray, "f"]) -> read.Frames:
  """Frames in their own shape, no larger than anyone wants them."""
  info = read.probe(path)
  scale = min(1.0, _LONGEST / max(info.height, info.width))
  height, width = (max(round(scale * s), 1) for s in (info.height, info.width))
  return read.read_frames(path, times=times, height=height, width=width)


def _name(path: _Path) -> str:
  """A folder or file as a source names it."""
  path = pathlib.Path(path)
  # The starter's own path is long and differs from machine to machine.
  return "vta/starter" if path == generator.STARTER else path.as_posix()
