"""VGGSound-Continuous: what sounds on and on, out of VGGSound's catalogue.

  python -m data_prep.continuous --index data/vggsound/index \\
      --source VGGSound --clap models/clap --out data/vggsound-continuous/index

Smooth-Foley's set (arXiv 2412.18157) has the clips of VGGSound whose label
implies a continuous sound and whose sound matches the label, by text-to-audio
grounding; neither list nor rule is published, and both are ours
(vta/data/continuous.py). Labels of that list stay. For grounding, CLAP hears
windows of 2 s, a second apart. Its cosines are no probabilities, so a window is
compared with all labels of the catalogue, as "This is a sound of <label>.": the
label is heard in it if fewer than one in twenty others are more alike, and the
clip stays if its label is heard in more than 60 % of the windows. This was
tried on tiny random models alone.

Scores are kept beside the catalogue (<out>.scores.jsonl): a killed run goes on.
What grounding leaves out, and what cannot be read, is listed in missing.json.
The paper's 95 test clips were picked by hand and are not published; the splits
are VGGSound's.
"""

from __future__ import annotations

import argparse
import hashlib
import math
import pathlib
import sys
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float

from data_prep import clap as clap_lib
from data_prep import kept
from data_prep.sets import catalogue, vggsound
from data_prep.sets import entry as entry_lib
from data_prep.sets import listing as listing_lib
from vta import errors
from vta.data import continuous
from vta.media import read
from vta.signals import timing

WINDOW, HOP = 2.0, 1.0  # seconds
AMONG = 0.05  # of the labels
_PROMPT = "This is a sound of {}."


class VGGSoundContinuous(catalogue.Derived):
  """After Smooth-Foley."""

  name = "vggsound_continuous"
  description = (
    "Clips of VGGSound whose label implies a continuous sound, and in most of "
    "which CLAP hears the label. List and rule are ours."
  )
  homepage = vggsound.VGGSound.homepage
  licence = vggsound.VGGSound.licence
  citation = vggsound.VGGSound.citation


def sound_of(
  source: pathlib.Path, one: entry_lib.Entry
) -> Float[np.ndarray, "t 2"]:
  """The clip's stretch of its file, at 44.1 kHz.

  Raises:
    InputError: it cannot be read, or there is no sound in the stretch.
  """
  path = source / one.media
  wave = read.read_audio(path)
  first = round(one.start * timing.SAMPLE_RATE)
  last = (
    len(wave) if math.isinf(one.end) else round(one.end * timing.SAMPLE_RATE)
  )
  if not len(wave[first:last]):
    raise errors.InputError(path, "has no sound in the clip's stretch")
  return wave[first:last]


def windows(
  wave: Float[np.ndarray, "t 2"],
) -> list[Float[np.ndarray, "w 2"]]:
  """Stretches of a sound, equally far apart; one if it is shorter."""
  size, hop = (round(s * timing.SAMPLE_RATE) for s in (WINDOW, HOP))
  count = max((len(wave) - size) // hop, 0) + 1
  return [wave[i * hop : i * hop + size] for i in range(count)]


def heard(
  sounds: Float[np.ndarray, "n p"],
  labels: Float[np.ndarray, "k p"],
  own: int,
) -> Float[np.ndarray, "n"]:
  """1 for windows in which the label `own` is among the most alike, else 0."""
  alike = sounds @ labels.T
  others = np.delete(alike, own, axis=1)
  better = np.mean(others > alike[:, own : own + 1], axis=1)
  return (better < AMONG).astype(np.float64)


def choose(
  splits: Mapping[str, Sequence[entry_lib.Entry]],
  source: pathlib.Path,
  *,
  clap: clap_lib.Clap,
  scores: pathlib.Path,
  by: str,
) -> listing_lib.Listing:
  """The clips that sound on and on.

  Args:
    splits: VGGSound's.
    source: the folder of its media.
    clap: what listens.
    scores: the file that keeps what it heard.
    by: what says which CLAP it is.

  Raises:
    InputError: none of the labels is continuous, or no clip stays.
  """
  names = sorted({n for own in splits.values() for e in own for n in e.labels})
  wanted = {
    split: [
      one for one in own if any(map(continuous.is_continuous, one.labels))
    ]
    for split, own in splits.items()
  }
  by_id = {one.id: one for own in wanted.values() for one in own}
  if not by_id or len(names) < 2:
    raise errors.InputError(
      source, f"none of {len(names)} labels is VGGSound's and continuous"
    )
  labels = clap.read([_PROMPT.format(name) for name in names])

  def score(key: str) -> list[float]:
    one = by_id[key]
    sounds = clap.hear(windows(sound_of(source, one)))
    return max(
      (
        heard(sounds, labels, names.index(label))
        for label in one.labels
        if continuous.is_continuous(label)
      ),
      key=np.mean,
    ).tolist()

  digest = hashlib.sha256("\n".join(names).encode()).hexdigest()
  found = kept.each(
    scores,
    list(by_id),
    score,
    by={"clap": by, "labels": digest, "window": [WINDOW, HOP], "among": AMONG},
  )
  stay = {
    key
    for key, value in found.items()
    if isinstance(value, list) and continuous.grounded(np.array(value))
  }
  if not stay:
    raise errors.InputError(
      source, f"in none of {len(by_id)} clips the label is heard throughout"
    )
  chosen = {
    split: [one for one in own if one.id in stay]
    for split, own in wanted.items()
  }
  return listing_lib.Listing(
    splits={split: own for split, own in chosen.items() if own},
    filtered=sorted(by_id.keys() - stay),
  )


def digest_of(folder: pathlib.Path) -> str:
  """What tells one model's folder from another, as far as its config does.

  Raises:
    InputError: there is no config.
  """
  path = folder / "config.json"
  try:
    return hashlib.sha256(path.read_bytes()).hexdigest()
  except OSError as error:
    raise errors.InputError(path, f"cannot be read: {error}") from None


def main(arguments: list[str] | None = None) -> int:
  """Parses arguments and chooses; prints an InputError as one line."""
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  for name in ("--index", "--source", "--clap", "--out"):
    parser.add_argument(name, type=pathlib.Path, required=True, metavar="DIR")
  args = parser.parse_args(arguments)
  try:
    splits = catalogue.read(args.index)
    by = digest_of(args.clap)
    listing = choose(
      splits,
      args.source,
      clap=clap_lib.Clap.load(args.clap),
      scores=args.out.with_name(f"{args.out.name}.scores.jsonl"),
      by=by,
    )
    catalogue.publish(
      lambda scratch: VGGSoundContinuous(listing, out=scratch), args.out
    )
  except errors.InputError as error:
    print(f"error: {error}", file=sys.stderr)
    return 2
  for split, own in listing.splits.items():
    print(f"{split:<12}{len(own):>10,} of {len(splits[split]):,}")
  print(f"{len(listing.filtered):,} with a continuous label were left out")
  return 0


if __name__ == "__main__":
  sys.exit(main())
