"""Shows the whole path: silent yard clips in, scored videos out.

Renders clips that the starter never trained on, scores one from its picture
alone and one from a cue sheet with text, events and a loudness curve,
and writes for each a video with sound, a wave, a plot and the cue sheet.

Examples:
  python -m vta demo
  python -m vta demo --out out/demo --seed 5
"""

from __future__ import annotations

import argparse
import pathlib

from vta.commands import arguments, generate

_DURATION, _RATE, _SIZE = 5.0, 25.0, 256


def add_arguments(parser: argparse.ArgumentParser) -> None:
  """Declares what `run` reads."""
  parser.add_argument(
    "--out",
    type=pathlib.Path,
    default=pathlib.Path("out/demo"),
    metavar="DIR",
    help="folder to write to (default: out/demo)",
  )
  parser.add_argument(
    "--scene",
    type=arguments.whole(0, 2**31 - 1),
    default=0,
    metavar="N",
    help="which scenes of the yard (default: 0)",
  )
  generate.add_sampling_arguments(parser)


def run(args: argparse.Namespace) -> int:
  """Renders and scores; returns 0."""
  import numpy as np

  from vta.data.yard import picture, sound, stage, truth
  from vta.data.yard.captions import captions
  from vta.media import write
  from vta.signals import cues

  args.out.mkdir(parents=True, exist_ok=True)
  generator, settings = generate.load(args)
  for name, number in (("picture-alone", 0), ("cue-sheet", 1)):
    scene = stage.sample_scene(
      args.scene, number, split="test", duration=_DURATION
    )
    video = args.out / f"{name}-silent.mp4"
    images = picture.render_frames(scene, rate=_RATE, size=_SIZE)
    write.write_video(video, images, rate=_RATE)
    track = cues.Track()
    if name == "cue-sheet":
      heard = sound.render_sound(scene)
      words = captions(scene, rng=np.random.default_rng(0), count=1)
      track = cues.Track(
        text=words[0],
        events=truth.events(heard),
        loudness=truth.loudness(heard),
      )
      print(f"{name}: {words[0]!r}, with its events and loudness")
    generate.score_file(
      generator,
      video=video,
      duration=len(images) / _RATE,
      out=args.out / f"{name}.mp4",
      tracks=[track],
      settings=settings,
      seed=args.seed,
    )
  return 0
