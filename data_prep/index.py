"""A data set as it lies on disk to a catalogue of its clips.

  python -m data_prep.index vggsound --source VGGSound --out data/vggsound/index

Reads the set's published files of annotations, looks which clips are there, and
writes what is known of each as a TFDS data set (ArrayRecord): file, stretch,
captions, labels, events, licence, and the video or recording that it is from,
which is on one side of the split only. No media are opened; `data_prep.prepare`
does that. Clips that are annotated and not there are normal, since videos
vanish: they are counted, and listed in missing.json beside the catalogue,
as are media that no annotation names. `--source` and `--out` may be cloud
folders (gs://...). The same files make the same bytes.

Sets share videos: AudioCaps and VALOR are parts of AudioSet. What is trained on
one and tested on another wants `--apart-from`, other catalogues, whose test
videos are then left out of train and validation here, and counted.
"""

from __future__ import annotations

import argparse
import collections
import sys
from collections.abc import Sequence

from data_prep.sets import (
  audiocaps,
  audioset,
  bbc,
  catalogue,
  common_voice,
  cond_prompt_bank,
  countix_av,
  entry,
  favdbench,
  folder,
  fsd50k,
  greatest_hits,
  hd_vila,
  mtg_jamendo,
  urbansound8k,
  valor,
  vggsound,
  vidal,
)
from data_prep.sets import listing as listing_lib
from vta import errors

SETS: dict[str, type[catalogue.Catalogue]] = {
  kind.name: kind
  for kind in (
    audiocaps.AudioCaps,
    audioset.AudioSet,
    audioset.AudioSetStrong,
    bbc.BBC,
    common_voice.CommonVoice,
    cond_prompt_bank.CondPromptBank,
    countix_av.CountixAV,
    favdbench.FAVDBench,
    folder.Folder,
    fsd50k.FSD50K,
    greatest_hits.GreatestHits,
    hd_vila.HDVILA,
    mtg_jamendo.MTGJamendo,
    urbansound8k.UrbanSound8K,
    valor.VALOR,
    vggsound.VGGSound,
    vidal.VIDAL,
  )
}
_MOST = 8  # licences that are told one by one


def index(
  kind: type[catalogue.Catalogue],
  source: str,
  out: str,
  *,
  apart_from: Sequence[str] = (),
) -> listing_lib.Listing:
  """Writes the catalogue of a set, and returns what is in it and what is not.

  Args:
    kind: the set.
    source: its folder.
    out: where the catalogue goes.
    apart_from: catalogues whose held-out sources are not trained on here.

  Raises:
    InputError: the set's files are wrong or not there, or `out` cannot be
      written.
  """
  others = [catalogue.read(folder) for folder in apart_from]
  return catalogue.publish(
    lambda scratch: kind(source, out=scratch, others=others), out
  )


def table(kind: type[catalogue.Catalogue], listing: listing_lib.Listing) -> str:
  """What the command prints."""
  lines = [f"{'split':<12}{'clips':>10}{'sources':>10}"]
  licences: collections.Counter[str] = collections.Counter()
  for split in entry.SPLITS:
    clips = listing.splits.get(split, [])
    sources = len({one.source for one in clips})
    lines.append(f"{split:<12}{len(clips):>10,}{sources:>10,}")
    licences.update(one.licence for one in clips)
  lines += [
    "",
    f"{len(listing.missing):>10,} annotated, not on disk",
    f"{len(listing.unlisted):>10,} media that no annotation names",
    f"{len(listing.torn):>10,} left out: their source is in a held-out split",
    "",
    f"licence of the set: {kind.licence}",
  ]
  own = [(name, count) for name, count in licences.most_common() if name]
  lines += [f"{count:>10,} {name}" for name, count in own[:_MOST]]
  if len(own) > _MOST:
    rest = sum(count for _, count in own[_MOST:])
    lines.append(f"{rest:>10,} under {len(own) - _MOST} others")
  return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
  """Parses arguments and indexes; prints an InputError as one line."""
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument(
    "set", choices=sorted(SETS), metavar="SET", help=", ".join(sorted(SETS))
  )
  parser.add_argument("--source", required=True, metavar="DIR")
  parser.add_argument("--out", required=True, metavar="DIR")
  parser.add_argument("--apart-from", nargs="+", default=(), metavar="INDEX")
  args = parser.parse_args(arguments)
  kind = SETS[args.set]
  try:
    listing = index(kind, args.source, args.out, apart_from=args.apart_from)
  except errors.InputError as error:
    print(f"error: {error}", file=sys.stderr)
    return 2
  print(f"{args.out}\n{table(kind, listing)}")
  return 0


if __name__ == "__main__":
  sys.exit(main())
