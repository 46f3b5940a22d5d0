"""Sets that are trained on together: what papers had, what you have, weights.

  python -m data_prep.mixtures mm_v2a data/vggsound data/valor data/bbc

Takes folders that data_prep.prepare made, says next to the paper's counts how
many clips each has, and prints what `data.train` of a config is to be:
(folder, weight) pairs. Weights are the paper's counts, so that a set of which
half has vanished is drawn from as often as the paper drew from it; folders of
one set share its weight by their clips. A set that you do not have is left
out, and the others keep their proportions.

MM-V2A is Tri-Ergon's (arXiv 2412.20378, Table 1; papers.md 3.4 and 8): clips of
5 to 60 s, of VGGSound, VALOR-32K and AudioSet 10 s at most. Its count of
VGGSound is that of train and test together; which 128,079 clips of AudioSet,
69,749 of VIDAL-10M and 44,637 of HD-VILA-100M they are is not published.

The codec of that paper heard 996,033 files. Their list is not at hand: the sets
here are MM-V2A's and those of sounds, music and speech that data_prep reads,
which is our choice, each drawn from by the clips that you have of it.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import pathlib
import sys
from collections.abc import Mapping, Sequence

from vta import errors


@dataclasses.dataclass(frozen=True, kw_only=True)
class Part:
  """A set of a mixture.

  Attributes:
    name: of its catalogue.
    clips: of it in the paper, where it says so.
    longest: seconds of its clips: what `--seconds` of prepare is to be.
    pictures: whether it has any.
  """

  name: str
  clips: int | None = None
  longest: float = 60.0
  pictures: bool = True


@dataclasses.dataclass(frozen=True, kw_only=True)
class Mixture:
  """Sets that are trained on together.

  Attributes:
    parts: in any order.
    clips: of all in the paper.
    shortest: seconds of a clip.
  """

  parts: tuple[Part, ...]
  clips: int
  shortest: float


MM_V2A = Mixture(
  parts=(
    Part(name="vggsound", clips=199_000, longest=10.0),
    Part(name="valor", clips=25_300, longest=10.0),
    Part(name="vidal", clips=69_749, longest=20.0),
    Part(name="bbc", clips=31_100, pictures=False),
    Part(name="favdbench", clips=7_500, longest=10.0),
    Part(name="hd_vila", clips=44_637),
    Part(name="audioset", clips=128_079, longest=10.0),
  ),
  clips=505_300,
  shortest=5.0,
)
CODEC = Mixture(
  parts=tuple(
    dataclasses.replace(part, clips=None, pictures=False)
    for part in MM_V2A.parts
  )
  + tuple(
    Part(name=name, pictures=False)
    for name in ("fsd50k", "urbansound8k", "mtg_jamendo", "common_voice")
  ),
  clips=996_033,
  shortest=1.0,
)
MIXTURES: Mapping[str, Mixture] = {"mm_v2a": MM_V2A, "codec": CODEC}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Prepared:
  """A folder of data_prep.prepare.

  Attributes:
    folder: its name as it was given.
    name: of its set.
    clips: by split.
  """

  folder: str
  name: str
  clips: Mapping[str, int]

  @classmethod
  def read(cls, folder: pathlib.Path) -> Prepared:
    """Reads the manifest.

    Raises:
      InputError: it is not there, not a manifest, or nothing is to train on.
    """
    path = folder / "manifest.json"
    try:
      held = json.loads(path.read_text())
      clips = {
        split: int(own["clips"]) for split, own in held["splits"].items()
      }
      name = str(held["set"]["name"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
      raise errors.InputError(
        path, f"is no manifest of `python -m data_prep.prepare`: {error!r}"
      ) from None
    if not clips.get("train"):
      raise errors.InputError(path, "splits: no clip is to train on")
    return cls(folder=str(folder), name=name, clips=clips)


def weights(
  mixture: Mixture, prepared: Sequence[Prepared]
) -> list[tuple[str, float]]:
  """(folder, weight) for `data.train`: clips of the paper, or of one's own.

  Raises:
    InputError: no folder is given, or one is of a set that is not in it.
  """
  if not prepared:
    raise errors.InputError("the mixture", "no folder is given")
  parts = {part.name: part for part in mixture.parts}
  own: dict[str, int] = {}
  for one in prepared:
    if one.name not in parts:
      raise errors.InputError(
        one.folder, f"{one.name} is none of the sets {', '.join(parts)}"
      )
    own[one.name] = own.get(one.name, 0) + one.clips["train"]
  drawn = {
    name: count if parts[name].clips is None else parts[name].clips
    for name, count in own.items()
  }
  return [
    (
      str(pathlib.Path(one.folder) / "train"),
      drawn[one.name] * one.clips["train"] / own[one.name],
    )
    for one in prepared
  ]


def table(mixture: Mixture, prepared: Sequence[Prepared]) -> str:
  """The paper's counts next to what there is."""
  drawn = dict.fromkeys((part.name for part in mixture.parts), 0.0)
  there = dict.fromkeys(drawn, 0)
  for one, (_, weight) in zip(
    prepared, weights(mixture, prepared), strict=True
  ):
    drawn[one.name] += weight
    there[one.name] += sum(one.clips.values())
  total = sum(drawn.values())
  rows = [
    (
      part.name,
      f"{mixture.shortest:g}-{part.longest:g} s",
      part.clips,
      there[part.name],
      drawn[part.name] / total,
    )
    for part in mixture.parts
  ]
  rows.append(("all", "", mixture.clips, sum(there.values()), 1.0))
  lines = [
    f"{'set':<14}{'clips of':>10}{'paper':>10}{'here':>10}{'of it':>8}"
    f"{'drawn':>8}"
  ]
  for name, seconds, paper, here, share in rows:
    of_it = "" if not paper else f"{here / paper:.1%}"
    told = "" if paper is None else f"{paper:,}"
    lines.append(
      f"{name:<14}{seconds:>10}{told:>10}{here:>10,}{of_it:>8}{share:>8.1%}"
    )
  return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
  """Parses arguments and compares; prints an InputError as one line."""
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument("mixture", choices=sorted(MIXTURES))
  parser.add_argument("folders", nargs="+", type=pathlib.Path, metavar="FOLDER")
  args = parser.parse_args(arguments)
  mixture = MIXTURES[args.mixture]
  try:
    prepared = [Prepared.read(folder) for folder in args.folders]
    print(table(mixture, prepared))
    print(f"\ndata.train = {tuple(weights(mixture, prepared))!r}")
  except errors.InputError as error:
    print(f"error: {error}", file=sys.stderr)
    return 2
  return 0


if __name__ == "__main__":
  sys.exit(main())
