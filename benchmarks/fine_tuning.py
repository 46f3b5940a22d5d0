"""Fine-tuning from end to end, on a style that the starter cannot know.

  python -m benchmarks.fine_tuning --out runs/tuned [--steps 400]

What docs/fine_tuning.md measures: 24 clips of the yard's validation scenes,
their sound filtered to 300-3000 Hz and put on the left, and three files that
are of no use go through data_prep.index, data_prep.prepare, train and merge as
the page has them, each in a process of its own, whose time is printed. Then the
base, the adapters at half their strength and at all of it score the held-out
clips, from picture and caption: how far left, and how much of the energy is in
the band. Some ten minutes on two cores.
"""

from __future__ import annotations

import argparse
import csv
import json
import pathlib
import resource
import subprocess
import sys
import time
from collections.abc import Sequence

import numpy as np
import tqdm
from jaxtyping import Float
from scipy import signal

from data_prep import prepare
from vta.data import records as shards
from vta.data import yard
from vta.data.yard import picture
from vta.inference import generator as generator_lib
from vta.inference import job as job_lib
from vta.media import read, write
from vta.signals import cues, timing

_CLIPS, _SEED = 24, 77
_RATE, _SIZE = 15.0, 128  # of the videos
_BAND = (300.0, 3000.0)  # Hz
_RIGHT = 10 ** (-15 / 20)  # of the left
_BASE = generator_lib.STARTER

Wave = Float[np.ndarray, "t 2"]


def styled(wave: Wave) -> Wave:
  """The house style: a band of the sound, its middle, on the left."""
  band = signal.butter(
    4, _BAND, "bandpass", fs=timing.SAMPLE_RATE, output="sos"
  )
  mono = signal.sosfilt(band, wave.mean(axis=1))
  return np.stack([mono, _RIGHT * mono], axis=1).astype(np.float32)


def measures(wave: Wave) -> tuple[float, float]:
  """Left over right in dB, and the share of the energy within the band."""
  left, right = np.mean(np.square(wave, dtype=np.float64), axis=0) + 1e-12
  power = np.sum(np.abs(np.fft.rfft(wave, axis=0)) ** 2, axis=1)
  hertz = np.fft.rfftfreq(len(wave), 1 / timing.SAMPLE_RATE)
  within = (hertz >= _BAND[0]) & (hertz <= _BAND[1])
  return 10 * np.log10(left / right), power[within].sum() / power.sum()


def write_videos(folder: pathlib.Path) -> None:
  """The clips, captions.csv beside them, and what nobody can learn from."""
  folder.mkdir(parents=True)
  rows = []
  for index in tqdm.trange(_CLIPS, desc="videos", unit="clip"):
    scene = yard.sample_scene(_SEED, index, split="validation", duration=6.0)
    name = f"{index:02d}.mp4"
    write.write_video(
      folder / name,
      picture.render_frames(scene, rate=_RATE, size=_SIZE),
      rate=_RATE,
      wave=styled(yard.render_sound(scene).wave),
    )
    rng = np.random.default_rng([_SEED, index])
    rows += [(name, text) for text in yard.captions(scene, rng=rng, count=2)]
  with (folder / "captions.csv").open("w", newline="") as file:
    csv.writer(file).writerows([("file", "caption"), *rows])
  images = np.zeros((30, 64, 64, 3), np.uint8)
  silence = np.zeros((2 * timing.SAMPLE_RATE, 2), np.float32)
  write.write_video(folder / "mute.mp4", images, rate=_RATE)
  write.write_video(folder / "silent.mp4", images, rate=_RATE, wave=silence)
  whole = (folder / "00.mp4").read_bytes()
  (folder / "broken.mp4").write_bytes(whole[: len(whole) // 3])


def timed(
  name: str, *command: str | pathlib.Path, allowed: Sequence[int] = (0,)
) -> None:
  """Runs `python -m` a command and prints a row of what it took."""

  def spent():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime

  before, start = spent(), time.monotonic()
  done = subprocess.run(
    [sys.executable, "-m", *map(str, command)], capture_output=True, text=True
  )
  if done.returncode not in allowed:
    raise SystemExit(f"{name} ended with {done.returncode}:\n{done.stderr}")
  wall = time.monotonic() - start
  print(f"| {name} | {spent() - before:.0f} s | {wall:.0f} s |", flush=True)


def score(
  release: pathlib.Path, videos: pathlib.Path, captions: dict[str, str]
) -> list[tuple[float, float]]:
  """`measures` of what a release makes of every clip, seed 0."""
  made = generator_lib.Generator(release)
  rows = []
  for name, text in captions.items():
    path = videos / name
    duration = read.probe(path).duration
    job = job_lib.Job(
      duration=duration,
      frames=made.reader.read_frames(path, duration),
      track=cues.Track(text=text),
      seed=0,
    )
    (wave,) = made.generate([job], made.settings)
    rows.append(measures(wave))
  return rows


def main() -> None:
  """Prints both tables."""
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument("--out", type=pathlib.Path, required=True)
  parser.add_argument("--steps", type=int, default=400)
  args = parser.parse_args()
  videos, records = args.out / "videos", args.out / "records"
  write_videos(videos)

  print("| step | processor time | wall clock |\n|---|---|---|", flush=True)
  index = args.out / "index"
  source = ["--source", videos]
  timed("index", "data_prep.index", "folder", *source, "--out", index)
  given = ["--index", index, *source, "--codec", _BASE, "--out", records]
  timed("prepare", "data_prep.prepare", *given, allowed=(0, prepare.LEFT_OUT))
  folders = {part: records / part for part in ("train", "validation")}
  settings = {
    "batch_size": 4,
    "steps": args.steps,
    "evaluate_every": 20,
    **{f"data.{part}": f"('{path}',)" for part, path in folders.items()},
  }
  run = args.out / "run"
  train = ["--config", f"configs/finetune.py:{_BASE}", "--workdir", run]
  for key, value in settings.items():
    train += ["--set", f"{key}={value}"]
  timed(f"train, {args.steps} steps of 4", "vta", "train", *train)
  softer = args.out / "softer"
  lora = ["--lora", f"{run / 'lora'}:0.5", "--out", softer]
  timed("merge at 0.5", "vta", "merge", _BASE, *lora)

  rows = [json.loads(x) for x in (run / "metrics.jsonl").open()]
  losses = {
    r["step"]: r["validation/loss"] for r in rows if "validation/loss" in r
  }
  best = min(losses, key=losses.get)
  print(
    f"\nheld-out loss {losses[0]:.3f} at first, {losses[best]:.3f} at step "
    f"{best}, {losses[max(losses)]:.3f} at the last, {max(losses)}\n\n"
    "| | left over right | energy in the band |\n|---|---|---|"
  )
  with (videos / "captions.csv").open() as file:
    said = {row["file"]: row["caption"] for row in csv.DictReader(file)}
  held_out = {r.meta["file"] for r in shards.Shards([records / "validation"])}
  held = {name: said[name] for name in sorted(held_out)}
  heard = [measures(read.read_audio(videos / name)) for name in held]
  table = {"held-out sound": heard}
  for name, release in (
    ("starter", _BASE),
    ("adapters at 0.5", softer),
    ("adapters at 1", run / "release"),
  ):
    table[name] = score(release, videos, held)
  for name, values in table.items():
    side, share = np.mean(values, axis=0)
    print(f"| {name} | {side:.1f} dB | {100 * share:.0f} % |")


if __name__ == "__main__":
  main()
