"""The cue sheet: everything that a soundtrack is asked to be, as JSON.

    {
      "version": 1,
      "duration": 10.0,
      "tracks": [
        {
          "text": "a ball bounces on wood",
          "negative_text": "speech, music",
          "reference": "bounce.wav",
          "events": [[0.5, 0.7], [1.1, 1.2]],
          "loudness": {"times": [0.5], "lufs": [[-23.0, -25.0]]},
          "masks": [
            {"box": {"times": [0.0], "corners": [[0.1, 0.2, 0.5, 0.9]]}}
          ],
          "objects": {
            "labels": ["ball"], "times": [0.0], "probability": [[0.9]]
          },
          "on_screen": true,
          "gain_db": -3.0,
          "pan": 0.2,
          "seed": 7,
          "sources": {"text": "user", "events": "predictor of vta/starter"}
        }
      ]
    }

A field that is left out, or null, is not asked for and is left to the model.
That is never the same as an empty one: no events means silence, no regions
means nothing of the picture. Predictors write cue sheets, people edit them,
`generate` reads them and saves the one that a result was made from.

"sources" says of each field of the track where it came from, for people to
read; nothing is generated from it. It may speak of a field that the track does
not have (any more): who deletes a field need not look for its source.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
from collections.abc import Mapping
from typing import Any

from vta import files
from vta.errors import InputError
from vta.signals import document
from vta.signals import events as events_lib
from vta.signals import loudness as loudness_lib
from vta.signals import masks as masks_lib
from vta.signals import objects as objects_lib

VERSION = 1
MIN_DURATION, MAX_DURATION = 1.0, 60.0  # s
MAX_GAIN_DB = 60.0
# What a NumPy or JAX seed holds without 64-bit integers.
MAX_SEED = 2**32 - 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Track:
  """One sound of the soundtrack; None is "not asked for" in every field.

  Attributes:
    text: what it sounds like.
    negative_text: what it must not sound like.
    reference: a recording that it should resemble.
    events: when it sounds.
    loudness: how loud, per channel.
    masks: where in the picture it comes from.
    objects: what is in the picture.
    on_screen: whether its source is in the picture.
    gain_db: applied when tracks are mixed.
    pan: applied when tracks are mixed, -1 (left) to 1 (right).
    seed: of the noise that it is generated from.
    sources: where the other fields came from, by name.
  """

  text: str | None = None
  negative_text: str | None = None
  reference: pathlib.Path | None = None
  events: events_lib.Events | None = None
  loudness: loudness_lib.Loudness | None = None
  masks: masks_lib.Masks | None = None
  objects: objects_lib.Objects | None = None
  on_screen: bool | None = None
  gain_db: float | None = None
  pan: float | None = None
  seed: int | None = None
  sources: Mapping[str, str] | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class CueSheet:
  """The tracks of a clip of `duration` seconds, all on its time axis."""

  duration: float
  tracks: tuple[Track, ...]
  version: int = VERSION


def load(path: str | os.PathLike) -> CueSheet:
  """Reads a cue sheet; relative references are taken from its folder.

  Raises:
    InputError: names the file and the field that cannot be used.
  """
  path = pathlib.Path(path)
  try:
    data = path.read_bytes()
  except (OSError, ValueError) as error:
    reason = getattr(error, "strerror", None) or str(error)
    raise InputError(path, f"cannot read: {reason}") from None
  value = document.decode(data, str(path))
  return parse(value, where=str(path), folder=path.absolute().parent)


def save(path: str | os.PathLike, sheet: CueSheet) -> None:
  """Writes a cue sheet, whole or not at all, so that `load` gives it back.

  References below its folder are written relative to it, so that the folder
  can move; others in full.

  Raises:
    InputError: names the field that `load` would refuse, or the file that
      cannot be written.
  """
  path = pathlib.Path(path)
  folder = path.absolute().parent
  value = to_json(sheet, folder=folder)
  parse(value, where=str(path), folder=folder)
  with files.atomic_path(path) as temporary:
    temporary.write_text(document.encode(value), encoding="utf-8")


def parse(
  value: Any, *, where: str, folder: pathlib.Path | None = None
) -> CueSheet:
  """A cue sheet from the values of its JSON document.

  Args:
    value: what a JSON reader made of the document.
    where: the document's name, for errors.
    folder: what relative references are relative to; the working directory
      when None.

  Raises:
    InputError: "where: tracks[0].events[2]: what is wrong".
  """
  try:
    return _sheet(value, folder or pathlib.Path())
  except InputError as error:
    here = f"{where}: {error.where}" if error.where else where
    raise InputError(here, error.message) from None


def to_json(
  sheet: CueSheet, *, folder: pathlib.Path | None = None
) -> dict[str, Any]:
  """The values of the JSON document; what is None is left out.

  Args:
    sheet: the cue sheet.
    folder: where it will lie; references below it become relative.
  """
  return {
    "version": sheet.version,
    "duration": sheet.duration,
    "tracks": [_track_to_json(track, folder) for track in sheet.tracks],
  }


def crop(sheet: CueSheet, start: float | int, end: float | int) -> CueSheet:
  """The cue sheet of the part of the clip between two times."""
  return CueSheet(
    duration=float(end - start),
    tracks=tuple(_edit(track, "crop", start, end) for track in sheet.tracks),
  )


def shift(
  track: Track, seconds: float | int, *, duration: float | int
) -> Track:
  """All signals of a track later (or earlier), within 0..duration."""
  return _edit(track, "shift", seconds, duration=duration)


def stretch(sheet: CueSheet, factor: float | int) -> CueSheet:
  """The cue sheet of the same clip played `factor` times as long."""
  return CueSheet(
    duration=sheet.duration * factor,
    tracks=tuple(_edit(track, "stretch", factor) for track in sheet.tracks),
  )


def rounded(sheet: CueSheet) -> CueSheet:
  """Every number to three decimals, for what a predictor writes to be read.

  Times to 1 ms, loudness to 0.001 LU, coordinates to 0.001 of the frame.

  Raises:
    InputError: an event or a step between stamps is shorter than that.
  """
  return parse(_rounded(to_json(sheet)), where="rounded cue sheet")


_SIGNALS = {
  "events": events_lib,
  "loudness": loudness_lib,
  "masks": masks_lib,
  "objects": objects_lib,
}
_TEXTS = ("text", "negative_text", "reference")


def _edit(track: Track, edit: str, *args: Any, **kwargs: Any) -> Track:
  signals = {name: getattr(track, name) for name in _SIGNALS}
  return dataclasses.replace(
    track,
    **{
      name: getattr(signal, edit)(*args, **kwargs)
      for name, signal in signals.items()
      if signal is not None
    },
  )


def _rounded(value: Any) -> Any:
  if isinstance(value, dict):
    return {key: _rounded(field) for key, field in value.items()}
  if isinstance(value, list):
    return [_rounded(entry) for entry in value]
  return round(value, 3) if isinstance(value, float) else value


def _sheet(value: Any, folder: pathlib.Path) -> CueSheet:
  fields = document.record(
    value, "", required=("version", "duration", "tracks")
  )
  # type(), since true and 1.0 equal 1.
  if type(fields["version"]) is not int or fields["version"] != VERSION:
    raise InputError("version", f"must be {VERSION}; no other can be read")
  duration = document.number(
    fields["duration"],
    "duration",
    low=MIN_DURATION,
    high=MAX_DURATION,
    unit=" s",
  )
  tracks = document.sequence(fields["tracks"], "tracks")
  if not tracks:
    raise InputError("tracks", "is empty; one track is needed, {} will do")
  return CueSheet(
    duration=duration,
    tracks=tuple(
      _track(track, f"tracks[{i}]", duration, folder)
      for i, track in enumerate(tracks)
    ),
  )


def _track(
  value: Any, where: str, duration: float, folder: pathlib.Path
) -> Track:
  known = [field.name for field in dataclasses.fields(Track)]
  fields = document.record(value, where, optional=known)
  given: dict[str, Any] = {}
  for name, field in fields.items():
    here = f"{where}.{name}"
    if field is None:
      continue
    if name in _SIGNALS:
      given[name] = _SIGNALS[name].from_json(
        field, where=here, duration=duration
      )
    elif name in _TEXTS:
      given[name] = document.text(field, here)
    elif name == "on_screen":
      given[name] = document.flag(field, here)
    elif name == "seed":
      given[name] = document.integer(field, here, low=0, high=MAX_SEED)
    elif name == "sources":
      others = [other for other in known if other != name]
      said = document.record(field, here, optional=others)
      given[name] = {
        key: document.text(source, f"{here}.{key}")
        for key, source in said.items()
      }
    else:
      bound = 1.0 if name == "pan" else MAX_GAIN_DB
      given[name] = document.number(field, here, low=-bound, high=bound)
  if "reference" in given:
    given["reference"] = folder / given["reference"]
  return Track(**given)


def _track_to_json(track: Track, folder: pathlib.Path | None) -> dict[str, Any]:
  fields: dict[str, Any] = {}
  for field in dataclasses.fields(Track):
    value = getattr(track, field.name)
    if value is None:
      continue
    if field.name in _SIGNALS:
      value = _SIGNALS[field.name].to_json(value)
    elif field.name == "reference":
      value = value if folder is None else value.absolute()
      if folder is not None and value.is_relative_to(folder):
        value = value.relative_to(folder)
      value = value.as_posix()
    elif field.name == "sources":
      value = dict(value)
    fields[field.name] = value
  return fields
