"""Recorded effects that take the place of the yard's synthesis.

A folder holds audio files and says in `recordings.json` what each one is:

    {
      "version": 1,
      "recordings": [
        {
          "file": "tabla.flac",
          "thing": "stick",
          "material": "drum skin",
          "licence": "CC-BY-4.0",
          "attribution": "2014 Jo Doe",
          "source": "https://example.org/tabla"
        }
      ]
    }

Without a material a recording stands for the thing of any material. Licences
are SPDX ids and must be of `LICENCES`; CC-BY asks for an attribution.

A recording belongs to one split, drawn from its file's name (`split_of`), so
that held-out clips hear held-out recordings. What has no recording in a split
is synthesised there.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import pathlib
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from vta.data.yard import scene, sound, things
from vta.errors import InputError
from vta.media import read
from vta.signals import cues, document, timing

MANIFEST = "recordings.json"
VERSION = 1
# What a checkpoint that is shipped may have been trained on.
LICENCES = ("CC0-1.0", "CC-PDDC", "CC-PDM-1.0", "CC-BY-3.0", "CC-BY-4.0")
# Share of the recordings that training hears; half of the rest is for
# validation, half for test.
TRAIN_SHARE = 0.8

_SILENT = 1e-3  # of full scale: -60 dB
# Of the peak, -30 dB: above the noise of a quiet room, and most attacks pass it
# within a millisecond.
_ATTACK = 0.03
_REQUIRED = ("file", "thing", "licence", "source")
_OPTIONAL = ("material", "attribution")


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Recording:
  """One recorded effect.

  Attributes:
    file: its name, relative to the manifest's folder.
    thing: what it replaces, a key of `things.THINGS`.
    material: of the thing; None fits them all.
    licence: SPDX id.
    attribution: who is to be named; None where the licence does not ask.
    source: where it comes from.
    wave: from its attack on, mixed to mono, its peak at 1.
  """

  file: str
  thing: str
  material: str | None
  licence: str
  attribution: str | None
  source: str
  wave: Float[np.ndarray, "t 1"]


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Library:
  """The recordings of a folder, by file name.

  Attributes:
    recordings: sorted, so that the manifest's order changes no clip.
    identity: a digest of all that clips depend on; None without recordings.
  """

  recordings: tuple[Recording, ...]
  identity: str | None


NONE = Library(recordings=(), identity=None)


def load(
  folder: str | os.PathLike, *, rate: int = timing.SAMPLE_RATE
) -> Library:
  """Reads a folder's manifest and all recordings that it names.

  Args:
    folder: of the manifest.
    rate: samples per second of the waves.

  Raises:
    InputError: names the manifest, the field and, for a recording that cannot
      be used, its file.
  """
  folder = pathlib.Path(folder)
  path = folder / MANIFEST
  try:
    data = path.read_bytes()
  except OSError as error:
    raise InputError(path, f"cannot read: {error.strerror}") from None
  value = document.decode(data, str(path))
  try:
    found = _recordings(value, folder, rate)
  except InputError as error:
    here = f"{path}: {error.where}" if error.where else path
    raise InputError(here, error.message) from None
  found = tuple(sorted(found, key=lambda recording: recording.file))
  return Library(recordings=found, identity=_identity(found))


def split_of(file: str) -> Literal["train", "validation", "test"]:
  """The split that hears a recording, a function of its file's name alone.

  Scenes of the split "combination" hear the recordings of "test".
  """
  # Under this prefix sonic-pi-samples, the one package at hand, has drums in
  # every split.
  digest = hashlib.sha256(f"split/{file}".encode()).digest()
  place = int.from_bytes(digest[:8], "big") / 2**64
  if place < TRAIN_SHARE:
    return "train"
  return "validation" if place < 0.5 * (1.0 + TRAIN_SHARE) else "test"


def waves(library: Library, split: scene.Split) -> sound.Recordings:
  """What `sound.render_sound` takes, for the scenes of a split."""
  found: dict[tuple[str, str | None], list] = {}
  for recording in _of_split(library, split):
    key = recording.thing, recording.material
    found.setdefault(key, []).append(recording.wave)
  return found


def credits(
  library: Library, split: scene.Split, sources: list[scene.Source]
) -> list[dict[str, str | None]]:
  """What may be heard of the library in these sources of a scene.

  Each contact and interval draws among all that fit its source, so not every
  one of these need be in it.

  Returns:
    {file, licence, attribution} of each recording, for a record's `meta`.
  """
  return [
    {
      "file": recording.file,
      "licence": recording.licence,
      "attribution": recording.attribution,
    }
    for recording in _of_split(library, split)
    if any(
      recording.thing == source.thing
      and recording.material in (None, source.material)
      for source in sources
    )
  ]


def trim(wave: Float[np.ndarray, "t c"]) -> Float[np.ndarray, "u 1"]:
  """Mixes to mono, cuts what is before the attack, scales the peak to 1.

  The attack is the first sample within 30 dB of the peak, so that a contact
  starts to sound when it happens. `sound` scales contacts and lasting sounds
  alike, recorded or synthesised, to the same level from there.
  """
  mono = wave.mean(axis=1, keepdims=True)
  size = np.abs(mono[:, 0])
  first = int(np.argmax(size > _ATTACK * size.max()))
  return (mono[first:] / size.max()).astype(np.float32)


def _of_split(library: Library, split: scene.Split) -> list[Recording]:
  split = "test" if split == "combination" else split
  return [r for r in library.recordings if split_of(r.file) == split]


def _identity(found: tuple[Recording, ...]) -> str:
  """Sixteen hexadecimal digits of what is heard and what is said of it."""
  digest = hashlib.sha256()
  for recording in found:
    fields = dataclasses.asdict(recording)
    fields["wave"] = _digest(recording.wave)
    digest.update(json.dumps(fields).encode())
  return digest.hexdigest()[:16]


def _digest(wave: np.ndarray) -> str:
  return hashlib.sha256(wave.tobytes()).hexdigest()


def _recordings(value: Any, folder: pathlib.Path, rate: int) -> list[Recording]:
  fields = document.record(value, "", required=("version", "recordings"))
  # type(), since true and 1.0 equal 1.
  if type(fields["version"]) is not int or fields["version"] != VERSION:
    raise InputError("version", f"must be {VERSION}; no other can be read")
  entries = document.sequence(fields["recordings"], "recordings")
  if not entries:
    raise InputError("recordings", "is empty; one recording is needed")
  found: list[Recording] = []
  names: dict[str, str] = {}
  for i, entry in enumerate(entries):
    where = f"recordings[{i}]"
    recording = _recording(entry, where, folder, rate)
    # A copy under another name could be heard in training and in test.
    digest = _digest(recording.wave)
    if digest in names:
      raise InputError(
        f"{where}.file",
        f"{recording.file!r} is the same sound as {names[digest]!r}",
      )
    names[digest] = recording.file
    found.append(recording)
  return found


def _recording(
  value: Any, where: str, folder: pathlib.Path, rate: int
) -> Recording:
  fields = document.record(value, where, required=_REQUIRED, optional=_OPTIONAL)
  given = {
    name: document.text(field, f"{where}.{name}")
    for name, field in fields.items()
    # Checked with the licence, which says whether it may be left out.
    if name != "attribution" and (field is not None or name in _REQUIRED)
  }
  _check_thing(given, where)
  return Recording(
    file=given["file"],
    thing=given["thing"],
    material=given.get("material"),
    licence=given["licence"],
    attribution=_attribution(
      given["licence"], fields.get("attribution"), where
    ),
    source=given["source"],
    wave=_wave(given["file"], f"{where}.file", folder, rate),
  )


def _attribution(licence: str, attribution: Any, where: str) -> str | None:
  """Checks the licence, and that it gets the attribution that it asks for."""
  if licence not in LICENCES:
    raise InputError(
      f"{where}.licence",
      f"{licence!r} does not let a checkpoint be shipped; these do: "
      + ", ".join(LICENCES),
    )
  where = f"{where}.attribution"
  if licence.startswith("CC-BY") and not str(attribution or "").strip():
    raise InputError(where, f"{licence} asks for the author to be named here")
  return None if attribution is None else document.text(attribution, where)


def _check_thing(given: dict[str, str], where: str) -> None:
  thing = given["thing"]
  if thing not in things.THINGS:
    raise InputError(
      f"{where}.thing",
      f"the yard has no {thing!r}; it has {', '.join(things.THINGS)}",
    )
  materials = things.THINGS[thing].materials
  if "material" in given and given["material"] not in materials:
    known = ", ".join(materials) or "none, leave the field out"
    raise InputError(
      f"{where}.material",
      f"a {thing} is not of {given['material']!r}; known are {known}",
    )


def _wave(
  name: str, where: str, folder: pathlib.Path, rate: int
) -> Float[np.ndarray, "t 1"]:
  """The recording from its attack on.

  Raises:
    InputError: names the field and the file.
  """
  # One name per file, since the name decides on the split.
  if name != os.path.normpath(name) or os.path.isabs(name):
    raise InputError(where, f"{name!r} is not a plain relative path")
  path = folder / name
  # Links too; realpath and not resolve, which raises for a loop of them.
  inside = pathlib.Path(os.path.realpath(folder))
  if not pathlib.Path(os.path.realpath(path)).is_relative_to(inside):
    raise InputError(where, f"{name!r} is outside of the manifest's folder")
  try:
    wave = read.read_audio(path, rate=rate)
  except InputError as error:
    raise InputError(where, f"{name!r}: {error.message}") from None
  wave = wave[: round(cues.MAX_DURATION * rate)]  # no clip is longer
  if np.abs(wave.mean(axis=1)).max(initial=0.0) < _SILENT:
    raise InputError(
      where, f"{name!r} is silent: mixed to mono, its peak is below -60 dB"
    )
  return trim(wave)
