"""What a set is prepared with, and that its folder stays of one kind.

The settings of the first run lie in the folder, by the names of the options; a
run with others is refused by those names, since its shards would not belong.
"""

from __future__ import annotations

import dataclasses
import hashlib
import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from data_prep import checks as checks_lib
from data_prep import cutting, documents, encode
from data_prep.sets import entry as entry_lib
from vta import errors
from vta.inference import pictures
from vta.interop import release as release_lib
from vta.training.tasks import examples

LIMITS = checks_lib.Thresholds()
FILE = "configuration.json"
# What a killed run was writing (vta.files).
_HALF = re.compile(r"\.[a-z0-9]+\.\w{8}\.(array_record|json|md|png)", re.I)

Splits = Mapping[str, Sequence[entry_lib.Entry]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
  """What is prepared, and how.

  Attributes:
    index: the catalogue.
    source: the folder of media.
    out: the folder that is made.
    look: how frames are read, None for sound alone.
    longest: seconds of a record.
    shard_size: entries of a shard.
    towers: what encodes, None for wave records.
    predictor: the release that sees, if one does.
  """

  index: pathlib.Path
  source: pathlib.Path
  out: pathlib.Path
  look: cutting.Look | None
  longest: float
  shard_size: int
  towers: encode.Towers | None
  predictor: pathlib.Path | None


def configuration(settings: Settings, splits: Splits) -> dict[str, Any]:
  """What the result depends on, by the names of the options.

  No paths: a folder may be moved. Releases go by their parameters, folders of
  towers by the names and sizes of their files.
  """
  towers = settings.towers
  told: dict[str, Any] = {
    "index": documents.digest(
      {
        split: [dataclasses.astuple(one) for one in some]
        for split, some in splits.items()
      }
    ),
    "seconds": settings.longest,
    "shard-size": settings.shard_size,
    "sound-only": settings.look is None,
    "checkpoint": dataclasses.asdict(settings.look) if settings.look else None,
    "thresholds": dataclasses.asdict(LIMITS),
    "codec": None,
    "predictor": None,
  }
  if towers:
    told["codec"] = examples.codec_digest(release_lib.load(towers.codec))
    told["captions"] = towers.captions
    told["tower"] = towers.tower
    for name in ("languagebind", "dinov2", "clip", "t5"):
      folder = getattr(towers, name)
      told[name] = _folder_digest(folder) if folder else None
  if settings.predictor:
    told["predictor"] = pictures.Pictures(settings.predictor).digest
  return told


def _folder_digest(folder: pathlib.Path) -> str:
  if not folder.is_dir():
    raise errors.InputError(folder, "is no folder")
  found = hashlib.sha256()
  for path in sorted(folder.rglob("*")):
    if path.is_file():
      name = path.relative_to(folder).as_posix()
      found.update(f"{name} {path.stat().st_size}\n".encode())
  return found.hexdigest()


def claim(out: pathlib.Path, told: Mapping[str, Any]) -> None:
  """Takes a folder, or goes on in it.

  Raises:
    InputError: it is of a run with other settings, or of none.
  """
  path = out / FILE
  if path.exists():
    before = documents.read(path)
    other = [
      f"{name} ({_short(before.get(name))}, not {_short(told.get(name))})"
      for name in sorted(before.keys() | told.keys())
      # As JSON has it: a tuple is a list there.
      if documents.digest(before.get(name)) != documents.digest(told.get(name))
    ]
    if other:
      raise errors.InputError(
        out, f"was prepared with other {', '.join(other)}: give another --out"
      )
  else:
    if out.exists() and any(out.iterdir()):
      raise errors.InputError(out, "is there already, and of no such run")
    try:
      out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
      raise errors.InputError(out, f"cannot write: {error.strerror}") from None
    documents.write(path, told)
  for path in (*out.glob(".*"), *out.glob("*/.*")):
    if _HALF.fullmatch(path.name):
      path.unlink()


def _short(value: Any) -> str:
  text = str(value)
  return text if len(text) <= 40 else f"{text[:12]}..."
