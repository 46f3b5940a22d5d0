"""How fast a core feeds a training, and how many cores an accelerator needs.

  python -m benchmarks.input_pipeline
  python -m benchmarks.input_pipeline --memory 1000000

Records of the presets' sizes (`benchmarks.clips`) become batches in three ways
(`benchmarks.loaders`): ours, and torch's DataLoader over a memory-mapped file
and over a tar. Rates are per second of processor time, all threads together:
"per core". Each round every way reads first files that the page cache was told
to forget, then, timed apart, files that are in it. Ratios are medians over
rounds, ours over theirs. Then what media files cost when they are read as they
are, and what Tri-Ergon's L needs on a TPU host.

--memory reads so many records of 60 s and draws docs/input_pipeline_memory.png.
"""

from __future__ import annotations

import argparse
import math
import os
import pathlib
import statistics
import tempfile
import time
from collections.abc import Sequence

import numpy as np

from benchmarks import clips, loaders
from vta.data import records
from vta.media import read, write
from vta.signals import loudness as loudness_lib
from vta.training import configs

_ROUNDS = 5
_EXAMPLES = 768  # per round and way, read twice: cold and warm
# A TPU v5p: bfloat16 FLOP/s of a chip, and the chips of a host.
_PEAK, _CHIPS = 459e12, 4


def main() -> None:
  """Prints three tables, or draws the memory."""
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument("--memory", type=int, metavar="RECORDS")
  parser.add_argument("--rounds", type=int, default=_ROUNDS)
  args = parser.parse_args()
  if args.memory:
    from benchmarks import pipeline_memory

    out = clips.ROOT / "docs" / "input_pipeline_memory.png"
    pipeline_memory.measure(args.memory, out)
    return
  print(
    "| records | KB | examples/s per core | MB/s per core | over memmap, cold |"
    " over tar, cold |"
  )
  print("|---|---|---|---|---|---|", flush=True)
  rates = {}
  for name, case in clips.CASES.items():
    rates[name] = _prepared(name, case, rounds=args.rounds)
  _raw()
  _needs(rates)


def _prepared(name: str, case: clips.Case, *, rounds: int) -> float:
  """One row; returns our examples a second and core."""
  size = len(records.pack(clips.record(case, 0)))
  make = clips.example(case)
  seconds = {way: ([], []) for way in loaders.WAYS}
  with tempfile.TemporaryDirectory(prefix="vta-pipeline-") as folder:
    files = loaders.write(case, pathlib.Path(folder), count=_EXAMPLES)
    for number in range(rounds):
      for way, loader in loaders.WAYS.items():
        _forget(files[way])
        batches = loader(
          files[way], make, again=100, batch=case.batch, seed=number
        )
        for kind in seconds[way]:
          start = time.process_time()
          for _ in range(_EXAMPLES // case.batch):
            next(batches)
          kind.append(time.process_time() - start)
        batches = None
  ratios = {
    way: [
      statistics.median(
        theirs / ours
        for ours, theirs in zip(
          seconds["ours"][kind], seconds[way][kind], strict=True
        )
      )
      for kind in (1, 0)
    ]
    for way in ("mapped", "tar")
  }
  rate = _EXAMPLES / statistics.median(seconds["ours"][1])
  print(
    f"| {name} | {size / 1e3:.0f} | {rate:.0f} | {rate * size / 1e6:.0f} "
    + "".join(f"| {warm:.2f}, {cold:.2f} " for warm, cold in ratios.values())
    + "|",
    flush=True,
  )
  return rate


def _forget(files: Sequence[pathlib.Path]) -> None:
  """Asks the page cache to drop files; pages that are mapped it keeps."""
  os.sync()
  for path in files:
    descriptor = os.open(path, os.O_RDONLY)
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(descriptor)


def _raw(seconds: float = 10.0) -> None:
  """Video, sound and loudness of a media file, as data_prep reads them."""
  rng = np.random.default_rng(0)
  count = int(seconds * 25)
  # Noise that is coarse and moves: flat pictures would decode too fast.
  coarse = rng.integers(0, 256, (count // 5, 36, 64, 3), np.uint8)
  images = coarse.repeat(5, 0).repeat(10, 1).repeat(10, 2)
  wave = rng.normal(0, 0.1, (int(seconds * 44_100), 2)).astype(np.float32)
  with tempfile.TemporaryDirectory(prefix="vta-raw-") as folder:
    path = pathlib.Path(folder) / "clip.mp4"
    write.write_video(path, images, rate=25, wave=wave)
    size = path.stat().st_size
    spent = []
    for _ in range(_ROUNDS):
      start = time.process_time()
      read.read_frames(
        path, times=np.arange(0, seconds, 1 / 15), height=224, width=224
      )
      loudness_lib.momentary(read.read_audio(path))
      spent.append(time.process_time() - start)
  cost = statistics.median(spent)
  print(
    f"\nmedia: a clip of {seconds:g} s, 640 x 360 at 25 Hz, H.264 and AAC, "
    f"{size / 1e6:.1f} MB, to 150 frames of 224 x 224, wave and loudness: "
    f"{1 / cost:.2f} clips/s per core, {size / 1e6 / cost:.1f} MB/s"
  )


def flops(latents: int, *, depth: int, width: int, ff_multiple: int) -> float:
  """Floating-point operations of a training step for one clip.

  Matrix products alone, two operations a parameter and token, and the
  products of self-attention; forward once and backward twice as much.
  Recomputation (remat) is no useful work and not counted. Cross-attention's
  keys and values, of eight tokens, and what is outside of the blocks are less
  than 1 % and left out.
  """
  tokens = latents + 1  # time is prepended
  # Self-attention has four matrices, cross-attention two, the feed-forward
  # a gated pair and one back.
  parameters = (4 + 2 + 3 * ff_multiple) * width**2
  attention = 2 * 2 * tokens**2 * width
  return 3.0 * depth * (2 * parameters * tokens + attention)


def _needs(rates: dict[str, float]) -> None:
  config = configs.load(f"{clips.ROOT}/configs/tri_ergon.py:l").denoiser
  print("\nTri-Ergon L on a v5p host, 4 chips of 459 TFLOP/s:\n")
  print("| clips | TFLOP each | MFU | examples/s | MB/s | cores |")
  print("|---|---|---|---|---|---|")
  for name, case in clips.CASES.items():
    if not name.startswith("tri_ergon"):
      continue
    each = flops(
      case.window,
      depth=config.depth,
      width=config.width,
      ff_multiple=config.ff_multiple,
    )
    size = len(records.pack(clips.record(case, 0)))
    for mfu in (0.40, 0.55):
      rate = _CHIPS * _PEAK * mfu / each
      print(
        f"| {case.seconds:g} s | {each / 1e12:.2f} | {mfu:.0%} | {rate:.0f} "
        f"| {rate * size / 1e6:.0f} | {math.ceil(rate / rates[name])} |"
      )


if __name__ == "__main__":
  main()
