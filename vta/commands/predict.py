"""Predicts a cue sheet from a silent video: edit it, then `generate` from it.

Every shot becomes a track with all that the models named here can say of it;
the sheet's "sources" and the table printed say what came from where, and why
the rest is missing. Loudness and events come from the heads of a predictor's
release unless --lufs or --events names another; a label similarity's events are
of what --labels or the text's nouns name. Text is given or described by a
vision-language model, and its nouns are looked for by a detector: a folder of
Grounding DINO or of CLIP (which gives no boxes, so neither masks nor pan), or a
JSON file of objects as cue sheets have them. Public models are read from local
folders and need `pip install torch==2.13.0`, CLIP excepted.

Beside the sheet it writes a plot of its signals, all tracks together.

Examples:
  python -m vta predict clip.mp4 --out cues.json --text "a ball bounces on wood"
  python -m vta predict clip.mp4 --out cues.json --describe models/smolvlm \\
      --detect models/grounding-dino
  python -m vta generate clip.mp4 --cues cues.json --out scored.mp4
"""

from __future__ import annotations

import argparse
import functools
import pathlib
from collections.abc import Iterator

from vta import errors, files

# The order of the table, and of what a person wants to know.
_FIELDS = ("on_screen", "text", "events", "loudness", "objects", "masks", "pan")


def add_arguments(parser: argparse.ArgumentParser) -> None:
  """Declares what `run` reads."""
  parser.add_argument("video", metavar="VIDEO", help="a clip of 1 to 60 s")
  parser.add_argument(
    "--out",
    required=True,
    type=pathlib.Path,
    metavar="FILE",
    help="cue sheet to write: .json",
  )
  parser.add_argument(
    "--one-track",
    action="store_true",
    help="one track of the whole clip in place of one a shot",
  )
  parser.add_argument(
    "--predictor",
    metavar="DIR",
    help="release with heads for loudness and events (default: the starter)",
  )
  parser.add_argument(
    "--lufs",
    metavar="DIR",
    help="release of a LUFS predictor, DINOv2's folder in it as dinov2",
  )
  parser.add_argument(
    "--events",
    metavar="DIR",
    help="release of an event detector, or of a label similarity",
  )
  words = parser.add_mutually_exclusive_group()
  words.add_argument("--text", help="what it sounds like, for every track")
  words.add_argument(
    "--describe", metavar="DIR", help="vision-language model that says it"
  )
  parser.add_argument(
    "--detect", metavar="PATH", help="detector's folder, or a file of objects"
  )
  parser.add_argument(
    "--labels",
    metavar="A,B",
    help="what to detect, and what a label similarity finds the events of "
    "(default: the file's labels, the text's nouns)",
  )


def run(args: argparse.Namespace) -> int:
  """Predicts, writes sheet and plot, prints the table; returns 0."""
  from vta.inference import compilation, finders, predict, scoring
  from vta.media import read
  from vta.signals import cues

  _check_output(args)
  info = read.probe(args.video)
  scoring.check_duration(args.video, info.duration)
  request = finders.Request(
    predictor=args.predictor,
    lufs=args.lufs,
    events=args.events,
    text=_text(args),
    describe=args.describe,
    detect=args.detect,
    labels=_labels(args),
    one_track=args.one_track,
  )
  compilation.use_cache()
  made = predict.predict(args.video, duration=info.duration, request=request)
  cues.save(args.out, made.sheet)
  drawn = _plot(args.out.with_suffix(".png"), made.sheet)
  print(f"{args.video}: {info.duration:.3f} s")
  print(*_table(made), sep="\n")
  print(f"wrote {args.out}" + (", and beside it .png" if drawn else ""))
  return 0


def _check_output(args: argparse.Namespace) -> None:
  """Raises InputError for an --out that cannot be, or is what is read."""
  out = args.out
  if out.suffix != ".json":
    raise errors.InputError(out, "a cue sheet is a .json file")
  if out.is_dir():
    raise errors.InputError(out, "is a folder")
  for path in map(pathlib.Path, filter(None, (args.video, args.detect))):
    if out.exists() and path.exists() and out.samefile(path):
      raise errors.InputError(out, f"would overwrite {path}")
  files.check_writable(out)


def _text(args: argparse.Namespace) -> str | None:
  from vta.signals import document

  # Asked now: the sheet would refuse it when all the work is done.
  return args.text if args.text is None else document.text(args.text, "--text")


def _labels(args: argparse.Namespace) -> tuple[str, ...] | None:
  from vta.signals import document

  if args.labels is None:
    return None
  labels = [label.strip() for label in args.labels.split(",")]
  return tuple(dict.fromkeys(document.text(x, "--labels") for x in labels))


def _table(made) -> Iterator[str]:
  """What every field of the tracks came from, or why there is none."""
  for i, (start, end) in enumerate(made.shots):
    text = " ".join((made.sheet.tracks[i].text or "").split())
    yield f"  track {i + 1:<4} {start:6.3f} to {end:6.3f} s  {text}".rstrip()
  for name in _FIELDS:
    # Tracks with the same source share a line.
    said: dict[str, list[str]] = {}
    for i, track in enumerate(made.sheet.tracks):
      missing = made.missing[i].get(name)
      source = track.sources[name] if missing is None else f"none: {missing}"
      said.setdefault(source, []).append(str(i + 1))
    for source, tracks in said.items():
      which = "all" if len(said) == 1 else ",".join(tracks)
      yield f"  {name:10} {which:5} {source}"


def _plot(path: pathlib.Path, sheet) -> bool:
  """Draws the tracks' signals as one; False where there is none."""
  from vta.media import plot

  signals = {}
  for name in ("loudness", "events", "objects"):
    parts = [getattr(track, name) for track in sheet.tracks]
    parts = [part for part in parts if part is not None]
    if parts:
      signals[name] = functools.reduce(lambda a, b: a.merge(b), parts)
  if signals:
    plot.plot_signals(path, duration=sheet.duration, **signals)
  return bool(signals)
