"""A data set's catalogue and its media to checked, split, prepared shards.

  python -m data_prep.index vggsound --source VGGSound --out data/index
  python -m data_prep.prepare --index data/index --source VGGSound \\
      --codec vta/starter --out data/vggsound
  python -m vta validate data/vggsound

Every clip's media is opened and checked; what is damaged, silent, clipped, a
still or a copy of another is left out with the reason. The rest becomes wave
records or, with --codec, latent records (data_prep.encode, whose options these
are: --tower, --clip, --t5, --dinov2, --languagebind) or, with --predictor too,
records that its frame encoder has seen (data_prep.see). --sound-only is for
sets without pictures, and for codecs, which need none. The folder:

  train/, validation/, test/   shards of records, each with a document
  quarantine.json              what was left out, and why
  manifest.json                counts, digests, statistics, configuration
  README.md, *.png             the data card
  checks/, plan.json           what was found of the media, and decided

Everything appears whole or not at all; a run that was killed goes on with the
same command and ends with the same bytes. Two runs must not write one folder.

Apache Beam does the work, on this machine in --workers processes of one core
each, or wherever its options, after --, say; all machines must see the same
folders. With an accelerator, use one worker:

  python -m data_prep.prepare ... -- --runner=FlinkRunner --flink_master=...

Exit codes: 0 all clips are used, 3 some were left out, 2 bad input.
"""

from __future__ import annotations

import argparse
import collections
import dataclasses
import functools
import itertools
import os
import pathlib
import sys
from collections.abc import Mapping, Sequence

from data_prep import card, cutting, documents, encode, engine, making
from data_prep import checks as checks_lib
from data_prep import manifest as manifest_lib
from data_prep import plan as plan_lib
from data_prep import settings as settings_lib
from data_prep.sets import catalogue
from data_prep.sets import entry as entry_lib
from vta import errors
from vta.interop import release as release_lib

STARTER = pathlib.Path(release_lib.__file__).parents[1] / "starter"
LEFT_OUT = 3  # exit code
_SLICE = 64  # entries that are checked together, as a kill may cost


def prepare(
  settings: settings_lib.Settings, *, workers: int, options: Sequence[str]
) -> list[dict[str, str]]:
  """Makes what is missing of the folder.

  Args:
    settings: what is prepared.
    workers: processes on this machine.
    options: Beam's own.

  Returns:
    The rows of the quarantine.

  Raises:
    InputError: no catalogue, no media, another run's folder, or no good clip.
  """
  splits = catalogue.read(settings.index)
  _check_catalogue(settings, splits)
  out = settings.out
  told = settings_lib.configuration(settings, splits)
  settings_lib.claim(out, told)
  run = functools.partial(engine.run, workers=workers, options=options)
  slices = _slices(settings, splits)
  (out / "checks").mkdir(exist_ok=True)
  run(
    making.check,
    [job for job in slices if not job.path.exists()],
    done=lambda: sum(job.path.exists() for job in slices),
    name="checks",
  )
  checks = {
    row["id"]: checks_lib.Check(**row)
    for job in slices
    for row in documents.read(job.path)
  }
  plan = plan_lib.make(splits, checks, shard_size=settings.shard_size)
  _write_plan(out, plan)
  shards = _shards(settings, splits, checks, plan)
  every = list(itertools.chain(*shards.values()))
  run(
    making.make,
    [job for job in every if not job.document.exists()],
    done=lambda: sum(job.document.exists() for job in every),
    name="shards",
  )
  made = {
    split: [documents.read(job.document) for job in jobs]
    for split, jobs in shards.items()
  }
  left_out = manifest_lib.quarantine(plan, made)
  documents.write(out / "quarantine.json", left_out)
  if not any(document["ids"] for some in made.values() for document in some):
    raise errors.InputError(
      settings.source,
      f"no clip can be used: {_reasons(left_out)}; "
      f"{out / 'quarantine.json'} names them"
      + (
        "; --sound-only is for sets without pictures"
        if any(row["reason"] == "no_video" for row in left_out)
        else ""
      ),
    )
  document = manifest_lib.make(
    about=catalogue.about(settings.index),
    configuration=told,
    splits=splits,
    checks=checks,
    plan=plan,
    shards=made,
    left_out=left_out,
  )
  used = [checks[k] for some in plan.shards.values() for s in some for k in s]
  card.write(
    out,
    document,
    durations=[one.end - one.start for one in used],
    loudness=[one.loudness for one in used if one.loudness is not None],
  )
  documents.write(out / "manifest.json", document)
  for split, row in document["splits"].items():
    print(
      f"{out / split}: {row['records']} records of {row['clips']} clips, "
      f"{row['seconds'] / 3600:.2f} h"
    )
  return left_out


def _check_catalogue(
  settings: settings_lib.Settings, splits: settings_lib.Splits
) -> None:
  if not settings.source.is_dir():
    raise errors.InputError(settings.source, "is no folder")
  counts = collections.Counter(
    one.id for some in splits.values() for one in some
  )
  twice = [name for name, count in counts.items() if count > 1]
  if twice:
    raise errors.InputError(
      settings.index, f"{len(twice)} ids are there twice, as {twice[0]!r}"
    )


def _slices(
  settings: settings_lib.Settings, splits: settings_lib.Splits
) -> list[making.Slice]:
  """The entries in slices, those of a file in one."""
  ordered = sorted(
    (one for some in splits.values() for one in some),
    key=lambda one: (one.media, one.id),
  )
  groups: list[list[entry_lib.Entry]] = [[]]
  for _, own in itertools.groupby(ordered, key=lambda one: one.media):
    if len(groups[-1]) >= _SLICE:
      groups.append([])
    groups[-1] += own
  return [
    making.Slice(
      path=settings.out / "checks" / f"{number:05d}.json",
      source=settings.source,
      entries=group,
      limits=settings_lib.LIMITS,
      sound_only=settings.look is None,
    )
    for number, group in enumerate(groups)
  ]


def _write_plan(out: pathlib.Path, plan: plan_lib.Plan) -> None:
  path = out / "plan.json"
  value = dataclasses.asdict(plan)
  if not path.exists():
    documents.write(path, value)
  elif documents.digest(documents.read(path)) != documents.digest(value):
    raise errors.InputError(
      path, "its checks were made anew, and differ: give another --out"
    )


def _shards(
  settings: settings_lib.Settings,
  splits: settings_lib.Splits,
  checks: Mapping[str, checks_lib.Check],
  plan: plan_lib.Plan,
) -> dict[str, list[making.Shard]]:
  by_id = {one.id: one for some in splits.values() for one in some}
  return {
    split: [
      making.Shard(
        folder=settings.out / split,
        number=number,
        source=settings.source,
        clips=[
          cutting.Clip(
            entry=by_id[key], start=checks[key].start, end=checks[key].end
          )
          for key in shard
        ],
        look=settings.look,
        longest=settings.longest,
        towers=settings.towers,
        predictor=settings.predictor,
      )
      for number, shard in enumerate(some)
    ]
    for split, some in plan.shards.items()
  }


def _reasons(left_out: Sequence[Mapping[str, str]]) -> str:
  counts = collections.Counter(row["reason"] for row in left_out)
  return ", ".join(
    f"{count} {reason}" for reason, count in sorted(counts.items())
  )


def _settings(args: argparse.Namespace) -> settings_lib.Settings:
  """The options, checked."""
  limits = settings_lib.LIMITS
  shortest = 2 * limits.shortest
  if not shortest <= args.seconds <= limits.longest_file:
    raise errors.InputError(
      "--seconds",
      f"{args.seconds:g} is not {shortest:g} to {limits.longest_file:g}",
    )
  for name in ("shard_size", "workers", "captions"):
    if getattr(args, name) < 1:
      raise errors.InputError(f"--{name.replace('_', '-')}", "is below 1")
  towers = encode.chosen_towers(args) if args.codec else None
  names = ("tower", "clip", "t5", "dinov2", "languagebind", "predictor")
  given = [name for name in names if getattr(args, name)]
  if given and not args.codec:
    raise errors.InputError(f"--{given[0]}", "needs --codec")
  sees = (towers and towers.see) or args.predictor
  if args.predictor and (args.clip or args.languagebind):
    raise errors.InputError(
      "--predictor",
      "sees frames, of which --clip and --languagebind leave none",
    )
  if args.sound_only and sees:
    raise errors.InputError("--sound-only", f"leaves --{given[0]} blind")
  return settings_lib.Settings(
    index=args.index,
    source=args.source,
    out=args.out,
    look=None if args.sound_only else cutting.Look.of_release(args.checkpoint),
    longest=args.seconds,
    shard_size=args.shard_size,
    towers=towers,
    predictor=args.predictor,
  )


def _parser() -> argparse.ArgumentParser:
  parser = argparse.ArgumentParser(
    description=__doc__,
    formatter_class=argparse.RawDescriptionHelpFormatter,
    allow_abbrev=False,
  )
  add = functools.partial(parser.add_argument, type=pathlib.Path)
  add("--index", required=True, metavar="DIR", help="the catalogue")
  add("--source", required=True, metavar="DIR", help="the folder of media")
  add("--out", required=True, metavar="DIR", help="the folder that is made")
  add("--codec", metavar="RELEASE", help="makes latent records, by this codec")
  add("--predictor", metavar="RELEASE", help="whose frame encoder sees")
  add(
    "--checkpoint",
    metavar="RELEASE",
    default=STARTER,
    help="whose rate and size frames have (default: the starter)",
  )
  parser.add_argument(
    "--seconds", type=float, default=10.0, help="of a record (default: 10)"
  )
  parser.add_argument(
    "--sound-only", action="store_true", help="leave pictures alone"
  )
  parser.add_argument(
    "--shard-size", type=int, default=64, help="clips of a shard (default: 64)"
  )
  parser.add_argument(
    "--workers",
    type=int,
    default=os.cpu_count() or 1,
    help="processes of one core each (default: one per core)",
  )
  encode.add_towers(parser)
  return parser


def main(arguments: Sequence[str] | None = None) -> int:
  """Parses arguments and prepares; prints an InputError as one line."""
  given = list(sys.argv[1:] if arguments is None else arguments)
  edge = given.index("--") if "--" in given else len(given)
  args = _parser().parse_args(given[:edge])
  engine.prepare_environment()
  try:
    left_out = prepare(
      _settings(args), workers=args.workers, options=given[edge + 1 :]
    )
  except errors.InputError as error:
    print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
    return 2
  if not left_out:
    return 0
  print(
    f"{len(left_out)} left out: {_reasons(left_out)}\n"
    f"{args.out / 'quarantine.json'} names each, README.md says what they mean"
  )
  return LEFT_OUT


if __name__ == "__main__":
  sys.exit(main())
