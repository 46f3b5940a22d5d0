"""Scores a silent video: the same video with a stereo 44.1 kHz soundtrack.

Beside OUT.mp4 it writes OUT.wav, OUT.png (what was asked and what was made)
and OUT.cues.json (the cue sheet that made it: edit it and generate again).
The same command makes the same files. --text, --negative-text, --reference and
--seed win over what the cue sheet says of them, in every track; the second
track then has the seed after --seed, and so on. Without a checkpoint of your
own it uses the starter, which learned from synthetic clips: see
vta/starter/README.md.

Examples:
  python -m vta generate clip.mp4 --out scored.mp4
  python -m vta generate clip.mp4 --out scored.mp4 --text "a dog on gravel" \\
      --negative-text "rain" --seed 3 --steps 50 --guidance 3 8
  python -m vta generate clip.mp4 --out scored.mp4 --cues cues.json --stems
  python -m vta generate clip.mp4 --out scored.mp4 --reference door.wav
"""

from __future__ import annotations

import argparse
import dataclasses
import pathlib

from vta import errors
from vta.commands import arguments


def add_arguments(parser: argparse.ArgumentParser) -> None:
  """Declares what `run` reads."""
  parser.add_argument("video", metavar="VIDEO", help="a clip of 1 to 60 s")
  parser.add_argument(
    "--out",
    required=True,
    type=pathlib.Path,
    metavar="FILE",
    help="video to write: .mp4, .mov, .mkv or .webm",
  )
  parser.add_argument(
    "--cues", metavar="FILE", help="cue sheet: tracks and all their signals"
  )
  parser.add_argument("--text", help="what it sounds like")
  parser.add_argument("--negative-text", help="what it must not sound like")
  parser.add_argument(
    "--reference", metavar="FILE", help="a recording that it should resemble"
  )
  add_sampling_arguments(parser)
  # One that is given wins over the cue sheet's, one that is not does not.
  parser.set_defaults(seed=None)
  parser.add_argument(
    "--stems", action="store_true", help="write every track to OUT.stems/"
  )


def add_sampling_arguments(parser: argparse.ArgumentParser) -> None:
  """Declares the checkpoint and how to sample from it."""
  parser.add_argument(
    "--checkpoint", metavar="DIR", help="release folder (default: the starter)"
  )
  parser.add_argument(
    "--seed",
    type=arguments.whole(0, 2**32 - 1),
    default=0,
    help="of the noise (default: 0)",
  )
  parser.add_argument(
    "--steps",
    type=arguments.whole(2, 1000),
    help="denoiser calls: more is slower and, up to a point, better",
  )
  parser.add_argument(
    "--solver",
    choices=("dpm", "dpm-sde", "ddim"),
    help="DPM-Solver++ 2M, its 3M SDE, or deterministic DDIM",
  )
  parser.add_argument(
    "--guidance",
    type=arguments.real(0.0, 30.0),
    nargs="+",
    metavar="SCALE",
    help="how strictly conditions are followed, one per guidance group (of the "
    "starter: all but the text, then the text; 2.5 10)",
  )
  parser.add_argument(
    "--strength",
    type=arguments.weight,
    action="append",
    default=[],
    metavar="ADAPTER=WEIGHT",
    help="of a paper's adapter, 0 is off: frames=0.5 or events=2; may be given "
    "for each",
  )


def run(args: argparse.Namespace) -> int:
  """Generates and writes; returns 0."""
  from vta.inference import scoring
  from vta.media import read, write
  from vta.signals import cues

  # All that can be refused is refused before the long work starts.
  write.check_output(args.out, video=args.video)
  info = read.probe(args.video)
  scoring.check_duration(args.video, info.duration)
  tracks = [cues.Track()]
  if args.cues:
    sheet = cues.load(args.cues)
    scoring.check_sheet(sheet, info.duration, where=args.cues)
    tracks = list(sheet.tracks)
  tracks = [_with_flags(track, args) for track in tracks]
  written = [args.out, args.out.with_suffix(".wav")]
  if args.stems:
    folder = args.out.with_suffix(".stems")
    written += [folder / f"{name}.wav" for name in _stem_names(tracks)]
  for track in tracks:
    if track.reference:
      read.read_audio(track.reference)
      for path in written:
        if path.exists() and path.samefile(track.reference):
          raise errors.InputError(path, "would overwrite the reference")
  generator, settings = load(args)
  score_file(
    generator,
    video=args.video,
    duration=info.duration,
    out=args.out,
    tracks=tracks,
    settings=settings,
    seed=args.seed or 0,
    stems=args.stems,
  )
  return 0


def score_file(
  generator, *, video, duration, out, tracks, settings, seed, stems=False
) -> None:
  """Scores one video file and writes everything that belongs to the result."""
  from vta.inference import scoring
  from vta.media import plot, read, write
  from vta.signals import cues
  from vta.signals import loudness as loudness_lib

  frames = generator.reader.read_frames(video, duration)
  report = frames.report
  print(
    f"{video}: {report.duration:.3f} s at {report.fps:.3f} fps; "
    f"{report.decoded} frames decoded, {report.duplicated} shown twice, "
    f"{report.missing} missing"
  )
  for track in tracks:
    for prompt in (track.text, track.negative_text):
      warn_of_words(generator, prompt)
  made = scoring.score(
    generator,
    duration=duration,
    frames=frames,
    tracks=tracks,
    settings=settings,
    seed=seed,
  )
  write.mux(video, made.wave, out)
  write.write_wave(out.with_suffix(".wav"), made.wave)
  cues.save(out.with_suffix(".cues.json"), made.sheet)
  if stems:
    write.write_stems(
      out.with_suffix(".stems"),
      dict(zip(_stem_names(tracks), made.stems, strict=True)),
    )
  strip = read.read_frames(video, times=frames.times[::3], height=90, width=160)
  plot.plot_run(
    out.with_suffix(".png"),
    frames=strip,
    # One track's curve is the soundtrack's; several have no common one.
    requested=tracks[0].loudness if len(tracks) == 1 else None,
    obtained=loudness_lib.momentary(made.wave),
    events=tracks[0].events if len(tracks) == 1 else None,
    wave=made.wave,
  )
  if made.gain_db < -0.01:
    print(f"turned down by {-made.gain_db:.1f} dB to keep the peak at -1 dBFS")
  print(f"wrote {out}, and beside it .wav, .png and .cues.json")


def load(args: argparse.Namespace):
  """The generator and the settings that the arguments ask for."""
  from vta.inference import compilation
  from vta.inference import generator as generator_lib

  compilation.use_cache()
  generator = generator_lib.Generator(args.checkpoint or generator_lib.STARTER)
  settings = generator.settings
  if args.guidance and len(args.guidance) != len(settings.guidance):
    groups = "; ".join(", ".join(group) for group in generator.groups)
    raise errors.InputError(
      "--guidance",
      f"this checkpoint has {len(settings.guidance)} guidance group(s) "
      f"({groups}), {len(args.guidance)} scale(s) were given",
    )
  strengths = dict(args.strength)
  weighed = generator.weighed
  for name in strengths:
    if name not in weighed:
      raise errors.InputError(
        f"--strength {name}",
        f"this checkpoint has adapters for {', '.join(weighed)}"
        if weighed
        else "this checkpoint has no adapters",
      )
  return generator, dataclasses.replace(
    settings,
    strengths={**settings.strengths, **strengths},
    steps=args.steps or settings.steps,
    solver=args.solver or settings.solver,
    guidance=tuple(args.guidance or settings.guidance),
  )


def warn_of_words(generator, prompt: str | None) -> None:
  """Says which of a prompt's words cannot have the effect that is hoped for."""
  if not prompt:
    return
  for word, known, cosine in generator.reader.unknown_words(prompt):
    print(
      f"note: {word!r} is unlike every word of the training captions (nearest: "
      f"{known!r}, {cosine:.2f}); expect little from it"
    )
  if cut := generator.reader.cut_text(prompt):
    print(f"note: the text encoder stops reading before {cut!r}")


def _stem_names(tracks) -> list[str]:
  return [f"track-{i + 1}" for i in range(len(tracks))]


def _with_flags(track, args: argparse.Namespace):
  """The track with what the command line gives in the place of its own."""
  given = {}
  if args.text is not None:
    given["text"] = args.text or None
  if args.negative_text is not None:
    given["negative_text"] = args.negative_text or None
  if args.reference is not None:
    given["reference"] = pathlib.Path(args.reference)
  if args.seed is not None:
    given["seed"] = None  # the tracks are numbered on from --seed
  return dataclasses.replace(track, **given)
