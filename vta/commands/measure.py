"""Measures a file's sound: its loudness per channel, and when it sounds.

Reads any audio or video file. The cue sheet holds what was measured, as one
track: edit it and ask for it again with `generate`.

Examples:
  python -m vta measure clip.mp4 --out clip.png
  python -m vta measure bounce.wav --cues cues.json --json signals.json
"""

from __future__ import annotations

import argparse
import json
import math
import pathlib

from vta import errors, files


def add_arguments(parser: argparse.ArgumentParser) -> None:
  """Declares what `run` reads."""
  parser.add_argument("file", metavar="FILE", help="audio or video")
  parser.add_argument(
    "--out", type=pathlib.Path, metavar="PNG", help="draw the signals"
  )
  parser.add_argument(
    "--json", type=pathlib.Path, metavar="FILE", help="write all numbers"
  )
  parser.add_argument(
    "--cues", type=pathlib.Path, metavar="FILE", help="write a cue sheet"
  )


def run(args: argparse.Namespace) -> int:
  """Prints a summary and writes what was asked for."""
  from vta.media import plot, read
  from vta.metrics import loudness as metric
  from vta.signals import cues, timing
  from vta.signals import events as events_lib
  from vta.signals import loudness as loudness_lib

  print(args.file)
  print(f"  video     {_video(args.file)}")
  wave = read.read_audio(args.file)
  duration = len(wave) / timing.SAMPLE_RATE
  loudness = loudness_lib.momentary(wave)
  events = events_lib.from_wave(wave)
  onsets = events_lib.onsets(wave)
  integrated, peak = metric.integrated(wave), metric.true_peak(wave)
  print(f"  sound     {duration:.3f} s")
  print(
    f"  together  {integrated:.1f} LUFS integrated, {peak:.1f} dBTP true peak"
  )
  for name, lufs in zip(("left", "right"), loudness.lufs.T, strict=True):
    print(
      f"  {name:9} {lufs.min():.1f} / {lufs.mean():.1f} / {lufs.max():.1f} "
      "LUFS (momentary: least, mean, most)"
    )
  sounding = float((events.intervals[:, 1] - events.intervals[:, 0]).sum())
  print(f"  events    {len(events.intervals)}, together {sounding:.3f} s")
  print(f"  onsets    {' '.join(f'{t:.3f}' for t in onsets) or 'none'}")

  if args.json:
    document = {
      "duration": duration,
      "integrated": integrated if math.isfinite(integrated) else None,
      "true_peak": peak if math.isfinite(peak) else None,
      "loudness": loudness_lib.to_json(loudness),
      "events": events_lib.to_json(events),
      "onsets": onsets.tolist(),
    }
    with files.atomic_path(args.json) as temporary:
      temporary.write_text(json.dumps(document) + "\n")
  if args.cues:
    track = cues.Track(events=events, loudness=loudness)
    cues.save(args.cues, cues.CueSheet(duration=duration, tracks=(track,)))
  if args.out:
    plot.plot_signals(
      args.out, duration=duration, wave=wave, loudness=loudness, events=events
    )
  return 0


def _video(path: str) -> str:
  """What there is to see, in words; what is wrong with it where it is."""
  from vta.media import read

  try:
    info = read.probe(path)
  except errors.InputError as error:
    return error.message
  return (
    f"{info.duration:.3f} s, {info.frames} frames at {info.fps:.3f} fps, "
    f"{info.width}x{info.height}, {info.video_codec}"
  )
