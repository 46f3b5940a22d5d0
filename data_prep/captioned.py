"""VGGSound-Caption: VGGSound with captions that its sounds bear out.

  python -m data_prep.captioned --index data/vggsound/index --source VGGSound \\
      --captions captions.csv --clap models/clap \\
      --out data/vggsound-caption/index

Draw an Audio (arXiv 2409.06135) annotates VGGSound's clips with captions and
says no more. Here (papers.md 1.3) a caption stays if CLAP finds it like the
clip's sound, by a cosine above --threshold, and becomes "<caption>; <label>". A
clip of which no caption stays is left out, and listed in missing.json.

captions.csv has the columns id (of the catalogue) and caption; any captioner
may have written it, and a clip may have several rows. Without it, --describe
names a folder of an image-text-to-text model of transformers
(vta/annotators/describe.py), which is shown four frames of each clip.

What was computed is kept beside the catalogue (<out>.*.jsonl): a killed run
goes on. The threshold was tried on tiny random models alone: look at the
cosines that are kept before you trust it.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import math
import pathlib
import sys
from collections.abc import Mapping, Sequence

from etils import epath

from data_prep import clap as clap_lib
from data_prep import continuous, kept
from data_prep.sets import catalogue, tables, vggsound
from data_prep.sets import entry as entry_lib
from data_prep.sets import listing as listing_lib
from vta import errors
from vta.annotators import describe
from vta.media import read

THRESHOLD = 0.25
_LONGEST = 768  # pixels of a frame that is described

Splits = Mapping[str, Sequence[entry_lib.Entry]]
Captions = Mapping[str, Sequence[str]]


class VGGSoundCaption(catalogue.Derived):
  """After Draw an Audio."""

  name = "vggsound_caption"
  description = (
    "Clips of VGGSound with captions by a model, those that CLAP finds like "
    'the sound, as "<caption>; <label>".'
  )
  homepage = vggsound.VGGSound.homepage
  licence = vggsound.VGGSound.licence
  citation = vggsound.VGGSound.citation


def read_captions(path: pathlib.Path, splits: Splits) -> dict[str, list[str]]:
  """Captions by id; those of clips that are not in the catalogue are not read.

  Raises:
    InputError: naming the line and the column that is wrong, or no clip has
      one.
  """
  known = {one.id for own in splits.values() for one in own}
  found: dict[str, list[str]] = {}
  for row in tables.rows(epath.Path(path), columns=("id", "caption")):
    name, caption = row.text("id"), row.text("caption")
    if name in known:
      found.setdefault(name, []).append(caption)
  if not found:
    raise errors.InputError(path, "names no clip of the catalogue")
  return found


def described(
  splits: Splits,
  source: pathlib.Path,
  *,
  folder: pathlib.Path,
  keep: pathlib.Path,
) -> dict[str, list[str]]:
  """Captions by id, by a model that is shown frames.

  Args:
    splits: the catalogue.
    source: the folder of its media.
    folder: the model.
    keep: the file that keeps what it said.

  Raises:
    InputError: the folder holds no such model.
  """
  by_id = {one.id: one for own in splits.values() for one in own}
  describer = describe.Describer(folder)

  def say(key: str) -> str:
    one = by_id[key]
    path = source / one.media
    info = read.probe(path)
    end = info.duration if math.isinf(one.end) else one.end
    scale = min(1.0, _LONGEST / max(info.height, info.width))
    sides = (max(round(scale * s), 1) for s in (info.height, info.width))
    height, width = sides
    frames = read.read_frames(
      path,
      times=describe.frame_times(one.start, end),
      height=height,
      width=width,
    )
    return describer.describe(frames.images)

  by = {
    "model": continuous.digest_of(folder),
    "instruction": describe.INSTRUCTION,
  }
  said = kept.each(keep, list(by_id), say, by=by)
  return {k: [v] for k, v in said.items() if isinstance(v, str) and v}


def bear_out(
  splits: Splits,
  captions: Captions,
  source: pathlib.Path,
  *,
  clap: clap_lib.Clap,
  threshold: float,
  keep: pathlib.Path,
  by: str,
) -> listing_lib.Listing:
  """The clips with the captions that their sounds bear out.

  Args:
    splits: the catalogue.
    captions: by id.
    source: the folder of media.
    clap: what compares.
    threshold: the cosine that a caption has to be above.
    keep: the file that keeps the cosines.
    by: what says which CLAP it is.

  Raises:
    InputError: no clip stays.
  """
  by_id = {one.id: one for own in splits.values() for one in own}
  # The texts are part of the key: they may change between runs.
  keys = {
    f"{name} {hashlib.sha256(repr(own).encode()).hexdigest()[:16]}": name
    for name, own in sorted((k, list(v)) for k, v in captions.items())
  }

  def cosines(key: str) -> list[float]:
    name = keys[key]
    (sound,) = clap.hear([continuous.sound_of(source, by_id[name])])
    alike = clap.read(list(captions[name])) @ sound
    return [round(float(value), 6) for value in alike]

  found = kept.each(keep, list(keys), cosines, by={"clap": by})
  stay: dict[str, tuple[str, ...]] = {}
  for key, name in keys.items():
    if isinstance(found[key], list):
      label = ", ".join(by_id[name].labels)
      own = tuple(
        f"{caption}; {label}" if label else caption
        for caption, alike in zip(captions[name], found[key], strict=True)
        if alike > threshold
      )
      stay |= {name: own} if own else {}
  if not stay:
    raise errors.InputError(
      source, f"no caption of {len(keys)} clips is above {threshold:g}"
    )
  chosen = {
    split: [_with(one, stay[one.id]) for one in own if one.id in stay]
    for split, own in splits.items()
  }
  return listing_lib.Listing(
    splits={split: own for split, own in chosen.items() if own},
    filtered=sorted(by_id.keys() - stay.keys()),
  )


def _with(one: entry_lib.Entry, captions: tuple[str, ...]) -> entry_lib.Entry:
  return dataclasses.replace(one, captions=captions)


def main(arguments: list[str] | None = None) -> int:
  """Parses arguments and filters; prints an InputError as one line."""
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  for name in ("--index", "--source", "--clap", "--out"):
    parser.add_argument(name, type=pathlib.Path, required=True, metavar="DIR")
  words = parser.add_mutually_exclusive_group(required=True)
  words.add_argument("--captions", type=pathlib.Path, metavar="CSV")
  words.add_argument("--describe", type=pathlib.Path, metavar="DIR")
  parser.add_argument("--threshold", type=float, default=THRESHOLD)
  args = parser.parse_args(arguments)
  try:
    if not -1 <= args.threshold < 1:
      raise errors.InputError(
        "--threshold", f"{args.threshold:g} is not from -1 to 1"
      )
    splits = catalogue.read(args.index)
    by = continuous.digest_of(args.clap)
    clap = clap_lib.Clap.load(args.clap)
    beside = args.out.with_name
    captions = (
      read_captions(args.captions, splits)
      if args.captions
      else described(
        splits,
        args.source,
        folder=args.describe,
        keep=beside(f"{args.out.name}.captions.jsonl"),
      )
    )
    listing = bear_out(
      splits,
      captions,
      args.source,
      clap=clap,
      threshold=args.threshold,
      keep=beside(f"{args.out.name}.cosines.jsonl"),
      by=by,
    )
    catalogue.publish(
      lambda scratch: VGGSoundCaption(listing, out=scratch), args.out
    )
  except errors.InputError as error:
    print(f"error: {error}", file=sys.stderr)
    return 2
  for split, own in listing.splits.items():
    print(f"{split:<12}{len(own):>10,} of {len(splits[split]):,}")
  print(f"{len(listing.filtered):,} without a caption that stays")
  return 0


if __name__ == "__main__":
  sys.exit(main())
