"""A folder of one's own videos to wave records, ready for `data_prep.encode`.

  python -m data_prep.clips --videos my_videos --captions captions.csv \\
      --out data/mine

Every video that has sound is cut into stretches of at most `--seconds`. Frames
are read as the checkpoint that is to be tuned wants them; loudness and events
are measured of the sound as `vta measure` does. A share of the files, never of
the stretches, is held out for validation: stretches of one recording are too
much alike to test each other.

captions.csv has the columns file and caption; a file may have several rows, or
none, and is then learned from without text. Files that cannot be used are
listed with the reason and skipped. The folder appears whole or not at all:

  train/, validation/   shards of records
  manifest.json         which file went where, and why some did not
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import pathlib
import shutil
import sys
from collections.abc import Iterator, Sequence

import tqdm

from data_prep import cutting
from data_prep.sets import entry as entry_lib
from vta import errors, files
from vta.data import records
from vta.interop import release as release_lib
from vta.media import read
from vta.signals import loudness as loudness_lib

STARTER = pathlib.Path(release_lib.__file__).parents[1] / "starter"
VIDEOS = {".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpg", ".webm"}
SHORTEST = 1.0  # seconds
_SHARD = 64


def split(names: Sequence[str], *, share: float) -> tuple[list[str], list[str]]:
  """Names for training and for validation, sorted; each gets one or more.

  Chosen by digest, so that neither the order nor the names' own order counts,
  and few change sides when files are added.

  Raises:
    ValueError: there are fewer than two names.
  """
  if len(names) < 2:
    raise ValueError(f"{len(names)} files cannot be split in two")
  ranked = sorted(names, key=lambda n: hashlib.sha256(n.encode()).digest())
  held_out = min(max(round(share * len(names)), 1), len(names) - 1)
  return sorted(ranked[held_out:]), sorted(ranked[:held_out])


def read_captions(
  path: pathlib.Path, names: Sequence[str]
) -> dict[str, list[str]]:
  """The captions of each file.

  Raises:
    InputError: naming the line that is not of one of these files, or is empty.
  """
  found: dict[str, list[str]] = {}
  try:
    with path.open(newline="", encoding="utf-8-sig") as file:
      rows = csv.DictReader(file)
      if not {"file", "caption"} <= set(rows.fieldnames or ()):
        raise errors.InputError(
          path, "line 1: the columns file and caption are needed"
        )
      for row in rows:
        where = f"{path}: line {rows.line_num}"
        name, caption = (
          (row[key] or "").strip() for key in ("file", "caption")
        )
        if name not in names:
          raise errors.InputError(where, f"there is no video {name!r}")
        if not caption:
          raise errors.InputError(where, "the caption is empty")
        found.setdefault(name, []).append(caption)
  except (OSError, UnicodeError, csv.Error) as error:
    raise errors.InputError(path, f"cannot be read: {error}") from None
  return found


def clip_records(
  path: pathlib.Path,
  *,
  name: str,
  captions: Sequence[str],
  look: cutting.Look,
  longest: float,
) -> list[records.Record]:
  """The records of one video.

  Args:
    path: the video.
    name: what its records are called after.
    captions: of all of it.
    look: how frames are read.
    longest: seconds of a record.

  Raises:
    InputError: there is nothing to learn from, or it cannot be read.
  """
  duration = read.probe(path).duration
  if duration < SHORTEST:
    raise errors.InputError(
      path, f"lasts {duration:.2f} s; {SHORTEST:g} s or more are needed"
    )
  entry = entry_lib.Entry(
    id=name, source=name, media=name, captions=tuple(captions)
  )
  clip = cutting.Clip(entry=entry, start=0.0, end=duration)
  made = cutting.cut(path, [clip], look=look, longest=longest)
  loudest = max(record.arrays["loudness"].max() for record in made)
  if loudest <= loudness_lib.FLOOR:
    raise errors.InputError(path, "its sound is silence throughout")
  return made


def convert(
  videos: pathlib.Path,
  out: pathlib.Path,
  *,
  captions: pathlib.Path | None,
  look: cutting.Look,
  longest: float,
  share: float,
) -> None:
  """Writes the folder, and says what is in it.

  Args:
    videos: searched with all its folders.
    out: must not be there yet.
    captions: the table, if there is one.
    look: how frames are read.
    longest: seconds of a record.
    share: of the files, held out.

  Raises:
    InputError: no videos, a table that does not fit, or too few usable files.
  """
  found = {
    path.relative_to(videos).as_posix(): path
    for path in sorted(videos.rglob("*"))
    if path.suffix.lower() in VIDEOS and path.is_file()
  }
  if not found:
    raise errors.InputError(
      videos, f"holds no video ({', '.join(sorted(VIDEOS))})"
    )
  said = read_captions(captions, list(found)) if captions else {}
  skipped: dict[str, str] = {}
  usable = []
  with files.atomic_folder(out) as folder:
    # A folder for each: sides are known when it is known what can be used.
    for name, path in tqdm.tqdm(found.items(), unit="video"):
      try:
        made = clip_records(
          path,
          name=name,
          captions=said.get(name, ()),
          look=look,
          longest=longest,
        )
      except errors.InputError as error:
        skipped[name] = error.message
        tqdm.tqdm.write(f"skipped {name}: {error.message}")
        continue
      records.write_shards(folder / "read" / name, made, shard_size=len(made))
      usable.append(name)
    if len(usable) < 2:
      raise errors.InputError(
        videos,
        f"{len(usable)} of {len(found)} videos can be used; 2 or more are "
        "needed, since one has to be held out",
      )
    train, validation = split(usable, share=share)
    sides = {"train": train, "validation": validation}
    for side, names in sides.items():
      records.write_shards(
        folder / side, _again(folder / "read", names), shard_size=_SHARD
      )
    shutil.rmtree(folder / "read")
    document = {**sides, "skipped": skipped}
    (folder / "manifest.json").write_text(json.dumps(document, indent=2) + "\n")
  silent = sum(name not in said for name in usable)
  print(
    f"{out}: {len(train)} videos to train on, {len(validation)} held out, "
    f"{len(skipped)} skipped"
    + (f"; {silent} without a caption" if silent else "")
  )


def _again(
  folder: pathlib.Path, names: Sequence[str]
) -> Iterator[records.Record]:
  for name in names:
    yield from records.Shards([folder / name])


def main(arguments: list[str] | None = None) -> int:
  """Parses arguments and converts; prints an InputError as one line."""
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument("--videos", type=pathlib.Path, required=True)
  parser.add_argument("--captions", type=pathlib.Path)
  parser.add_argument("--checkpoint", type=pathlib.Path, default=STARTER)
  parser.add_argument("--seconds", type=float, default=10.0)
  parser.add_argument("--validation", type=float, default=0.15)
  parser.add_argument("--out", type=pathlib.Path, required=True)
  args = parser.parse_args(arguments)
  try:
    if not args.seconds >= 2 * SHORTEST:
      raise errors.InputError(
        "--seconds", f"{args.seconds:g} is below {2 * SHORTEST:g}"
      )
    if not 0 < args.validation < 1:
      raise errors.InputError(
        "--validation", f"{args.validation:g} is not between 0 and 1"
      )
    look = cutting.Look.of_release(args.checkpoint)
    convert(
      args.videos,
      args.out,
      captions=args.captions,
      look=look,
      longest=args.seconds,
      share=args.validation,
    )
  except errors.InputError as error:
    print(f"error: {error}", file=sys.stderr)
    return 2
  return 0


if __name__ == "__main__":
  sys.exit(main())
