"""Renders clips of the synthetic yard, whose every signal's truth is known.

--out writes records to train and evaluate on. An interrupted run goes on with
the same command, at the first shard that is missing. A share of the records is
masked: their sound and signals are of a few things in the picture only.

--recordings takes recorded effects in place of synthesis, from a folder that
says in its recordings.json what each file is and under which licence (see
vta/data/yard/recordings.py; data_prep.effects makes one of a Debian package).
Each recording is heard in one split only.

--show writes videos with sound to look at, and for each the cue sheet of its
truth and a plot of its signals.

Examples:
  python -m vta yard --out data/yard/train --clips 8000 --seed 1
  python -m vta yard --out data/yard/sound --clips 3000 --no-frames --jobs 2
  python -m vta yard --out data/yard/test --clips 200 --split test
  python -m vta yard --out data/yard/real --clips 8000 --recordings data/effects
  python -m vta yard --show out/yard --clips 4 --duration 8
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import itertools
import json
import multiprocessing
import os
import pathlib
import signal
from collections.abc import Iterator

from vta import errors, files
from vta.commands import arguments

_SPLITS = ("train", "validation", "test", "combination")
_MANIFEST = "manifest.json"
_SHOW_RATE, _SHOW_SIZE = 30.0, 256

_library = None  # the recordings of a worker, from `_begin`


def add_arguments(parser: argparse.ArgumentParser) -> None:
  """Declares what `run` reads."""
  where = parser.add_mutually_exclusive_group(required=True)
  where.add_argument(
    "--out", type=pathlib.Path, metavar="DIR", help="write shards of records"
  )
  where.add_argument(
    "--show", type=pathlib.Path, metavar="DIR", help="write videos and plots"
  )
  parser.add_argument(
    "--clips",
    type=arguments.whole(1),
    required=True,
    metavar="N",
    help="how many clips",
  )
  parser.add_argument(
    "--seed",
    type=arguments.whole(0),
    default=0,
    metavar="S",
    help="clips are a function of seed, split and their number (default 0)",
  )
  parser.add_argument(
    "--split",
    choices=_SPLITS,
    default="train",
    help="combination casts what no other split shows (default train)",
  )
  parser.add_argument(
    "--duration",
    type=arguments.real(1.0, 60.0),
    metavar="SECONDS",
    help="of every clip, 1 to 60; drawn from 2 to 10 when left out",
  )
  parser.add_argument(
    "--no-frames",
    dest="frames",
    action="store_false",
    help="records of sound and signals only, all that a codec needs",
  )
  parser.add_argument(
    "--recordings",
    type=pathlib.Path,
    metavar="DIR",
    help="recorded effects to hear in place of synthesis",
  )
  parser.add_argument(
    "--jobs",
    type=arguments.whole(1),
    default=os.cpu_count(),
    metavar="N",
    help="processes that render records (default: one per core)",
  )
  parser.add_argument(
    "--shard-size",
    type=arguments.whole(1),
    default=256,
    metavar="N",
    help="records per shard (default 256)",
  )


def run(args: argparse.Namespace) -> int:
  """Renders the clips."""
  from vta.data.yard import recordings

  library = recordings.NONE
  if args.recordings:
    library = recordings.load(args.recordings)
  folder = args.show or args.out
  folder.mkdir(parents=True, exist_ok=True)
  if args.show:
    for index in range(args.clips):
      _show(args, index, library)
  else:
    _write(args, library)
  return 0


def _write(args: argparse.Namespace, library) -> None:
  """Renders the shards that are missing, each whole or not at all."""
  from vta.data import records

  _claim(args.out, args, library)
  starts = range(0, args.clips, args.shard_size)
  missing = [
    (number, range(start, min(start + args.shard_size, args.clips)))
    for number, start in enumerate(starts)
    if not (args.out / f"{number:05d}.array_record").exists()
  ]
  print(f"{args.out}: {len(missing)} of {len(starts)} shards to render")
  if not missing:
    return
  indices = [i for _, clips in missing for i in clips]
  with contextlib.closing(_rendered(args, indices, library)) as rendered:
    for number, clips in missing:
      records.write_shards(
        args.out,
        itertools.islice(rendered, len(clips)),
        shard_size=len(clips),
        first=number,
      )


def _rendered(
  args: argparse.Namespace, indices: list[int], library
) -> Iterator:
  """The records of these clips in order, from `args.jobs` processes."""
  import tqdm

  render = functools.partial(
    _render,
    seed=args.seed,
    split=args.split,
    duration=args.duration,
    pictures=args.frames,
  )
  # Spawned: a fork would copy the locks of whatever threads run by now.
  context = multiprocessing.get_context("spawn")
  with (
    context.Pool(args.jobs, initializer=_begin, initargs=(library,)) as pool,
    tqdm.tqdm(total=len(indices), unit="clip") as bar,
  ):
    for record in pool.imap(render, indices, chunksize=4):
      bar.update()
      yield record


def _begin(library) -> None:
  """Prepares a worker, which gets the recordings once and not per clip."""
  global _library
  # Ctrl-C is the parent's to handle; workers would each print a traceback.
  signal.signal(signal.SIGINT, signal.SIG_IGN)
  _library = library


def _render(index: int, *, seed, split, duration, pictures):
  """One record; runs in a worker, a function of arguments and recordings."""
  from vta.data.yard import record, sample_scene

  scene = sample_scene(seed, index, split=split, duration=duration)
  # Without frames there is nothing that a mask could choose from.
  heard = record.draw_heard(scene) if pictures else None
  return record.record(
    scene, heard=heard, pictures=pictures, recordings=_library
  )


def _claim(folder: pathlib.Path, args: argparse.Namespace, library) -> None:
  """Writes the parameters into a fresh folder, or compares them.

  Raises:
    InputError: when the folder's shards are of other clips.
  """
  parameters = {
    "clips": args.clips,
    "seed": args.seed,
    "split": args.split,
    "duration": args.duration,
    "frames": args.frames,
    "shard_size": args.shard_size,
    "recordings": library.identity,
  }
  path = folder / _MANIFEST
  if path.exists():
    try:
      # Folders older than recordings say nothing of them.
      found = {"recordings": None, **json.loads(path.read_text())}
      changed = [k for k, v in parameters.items() if found[k] != v]
    except (ValueError, KeyError, TypeError):
      raise errors.InputError(path, "is not a yard's manifest") from None
    if changed:
      raise errors.InputError(
        path,
        "holds clips of other parameters: "
        + ", ".join(f"{k} {found[k]}, not {parameters[k]}" for k in changed),
      )
  elif any(folder.glob("*.array_record")):
    raise errors.InputError(folder, f"holds shards but no {_MANIFEST}")
  else:
    with files.atomic_path(path) as temporary:
      temporary.write_text(json.dumps(parameters, indent=2) + "\n")


def _show(args: argparse.Namespace, index: int, library) -> None:
  """Writes one clip as video, cue sheet of its truth, and plot."""
  from vta.data import yard
  from vta.data.yard import picture, recordings
  from vta.media import plot, write
  from vta.signals import cues

  scene = yard.sample_scene(
    args.seed, index, split=args.split, duration=args.duration
  )
  sound = yard.render_sound(
    scene, recordings=recordings.waves(library, scene.split)
  )
  name = f"{args.split}-{args.seed}-{index}"
  write.write_video(
    args.show / f"{name}.mp4",
    picture.render_frames(scene, rate=_SHOW_RATE, size=_SHOW_SIZE),
    rate=_SHOW_RATE,
    wave=sound.wave,
  )
  sheet = cues.CueSheet(duration=scene.duration, tracks=_tracks(scene, sound))
  cues.save(args.show / f"{name}.json", sheet)
  plot.plot_signals(
    args.show / f"{name}.png",
    duration=scene.duration,
    wave=sound.wave,
    loudness=yard.loudness(sound),
    events=yard.events(sound),
    objects=yard.objects(scene) if scene.sources else None,
  )
  print(f"{args.show / name}.mp4: " + " | ".join(t.text for t in sheet.tracks))


def _tracks(scene, sound) -> tuple:
  """A track per source; one that asks for silence where there is none."""
  import numpy as np

  from vta.data import yard
  from vta.signals import cues

  rng = np.random.default_rng([scene.seed, scene.index])
  if not scene.sources:
    (text,) = yard.captions(scene, rng=rng, count=1)
    return (cues.Track(text=text, events=yard.events(sound)),)
  tracks = []
  for i, source in enumerate(scene.sources):
    (text,) = yard.captions(scene, [i], rng=rng, count=1)
    tracks.append(
      cues.Track(
        text=text,
        events=yard.events(sound, [i]),
        loudness=yard.loudness(sound, [i]),
        masks=yard.masks(scene, [i]) if source.on_screen else None,
        objects=yard.objects(scene, [i]),
        on_screen=source.on_screen,
      )
    )
  return tuple(tracks)
