"""What each metric without weights hears, and how fast it is.

  python -m benchmarks.metrics [--clips 4] [--out docs/metrics.png]

Prints every metric under graded damage of known size (benchmarks/damage.py)
and draws it; then clips per second, ours and another implementation's in turn
where one is installed, on the same clips of 4 s. The picture's colour is how
far a metric has got worse, in parts of the worst that any damage made it;
a number stands where it is worst.
"""

from __future__ import annotations

import argparse
import importlib.util
import itertools
import pathlib
import time
from collections.abc import Callable, Iterator

import numpy as np

from benchmarks import damage, heard
from vta import files


def table(values: dict[str, dict[str, list[float]]]) -> str:
  """All values as Markdown: undamaged, then from slight to heavy."""
  heads = [
    f"{d.name}: {', '.join(f'{g:g}' for g in d.grades)} {d.unit}"
    for d in damage.DAMAGES
  ]
  lines = [
    f"| metric | undamaged | {' | '.join(heads)} |",
    "|---" * (len(heads) + 2) + "|",
  ]
  for name, row in values.items():
    first = next(iter(row.values()))[0]
    cells = [" ".join(f"{v:.3g}" for v in found[1:]) for found in row.values()]
    lines.append(f"| {name} | {first:.3g} | {' | '.join(cells)} |")
  return "\n".join(lines)


def draw(values: dict[str, dict[str, list[float]]], path: pathlib.Path) -> None:
  """Writes the picture."""
  import matplotlib

  matplotlib.use("Agg")
  import matplotlib.pyplot as plt

  names = [m.name for m in heard.METRICS]
  worse = np.array(
    [
      np.concatenate(
        [
          (np.array(found[1:]) - found[0]) * (-1 if metric.higher else 1)
          for found in values[metric.name].values()
        ]
      )
      for metric in heard.METRICS
    ]
  )
  worst = np.nanmax(worse, axis=1, keepdims=True)
  share = np.clip(worse / np.where(worst > 0, worst, 1.0), 0, 1)
  figure, axes = plt.subplots(figsize=(11, 8.5), layout="constrained")
  axes.imshow(share, aspect="auto", cmap="magma_r", vmin=0, vmax=1)
  axes.set_yticks(range(len(names)), names, fontsize=8)
  grades = [f"{g:g}" for d in damage.DAMAGES for g in d.grades]
  axes.set_xticks(range(len(grades)), grades, fontsize=7)
  size = len(damage.DAMAGES[0].grades)
  for i, one in enumerate(damage.DAMAGES):
    axes.text(
      (i + 0.5) * size - 0.5,
      -0.8,
      f"{one.name}, {one.unit}",
      ha="center",
      fontsize=9,
    )
    if i:
      axes.axvline(i * size - 0.5, color="white", linewidth=3)
  for row, column in enumerate(np.nanargmax(share, axis=1)):
    found = np.concatenate([v[1:] for v in values[names[row]].values()])
    axes.text(
      column,
      row,
      f"{found[column]:.2g}",
      ha="center",
      va="center",
      fontsize=6,
      color="white",
    )
  with files.atomic_path(path) as temporary:
    figure.savefig(temporary, format="png", dpi=110)
  plt.close(figure)


def speeds(clips: list[damage.Clip]) -> Iterator[tuple]:
  """(metric, ours, other's name, other's): clips per second."""
  others = _others()
  waves = [damage.DAMAGES[0].of(clip.wave, 10) for clip in clips]
  for metric in heard.METRICS:
    ours = _rate(metric.of, clips, waves)
    name, other = others.pop(metric.name, ("", None))
    yield metric.name, ours, name, other and _rate(other, clips, waves)
  for name, (ours, label, other) in _sets().items():
    yield (
      name,
      1 / _seconds(ours),
      label,
      1 / _seconds(other) if other else None,
    )


def _rate(of: Callable, clips, waves) -> float:
  def run():
    for clip, wave in zip(clips, waves, strict=True):
      of(clip, wave)

  return len(clips) / _seconds(run)


def _seconds(run: Callable[[], object], repeats: int = 3) -> float:
  """The best of a few, after one to warm up: others use the machine too."""
  run()
  times = []
  for _ in range(repeats):
    begin = time.perf_counter()
    run()
    times.append(time.perf_counter() - begin)
  return min(times)


def _others() -> dict[str, tuple[str, Callable]]:
  """Other implementations of what `heard.METRICS` measures, by its name."""
  import auraloss
  import librosa
  import pyloudnorm
  import torch

  meter = pyloudnorm.Meter(damage.RATE)
  loss = auraloss.freq.MultiResolutionSTFTLoss()

  def distance(clip, wave):
    return [
      loss(
        torch.from_numpy(wave[:, c].copy())[None, None],
        torch.from_numpy(clip.wave[:, c].copy())[None, None],
      ).item()
      for c in range(2)
    ]

  def rms(clip, wave):
    pair = (
      librosa.feature.rms(
        y=librosa.resample(
          w.mean(axis=1), orig_sr=damage.RATE, target_sr=16_000
        ),
        frame_length=512,
        hop_length=128,
        pad_mode="reflect",
      )
      for w in (clip.wave, wave)
    )
    return np.abs(np.subtract(*pair)).mean()

  return {
    "integrated loudness off, LU": (
      "pyloudnorm",
      lambda clip, wave: (
        meter.integrated_loudness(wave) - meter.integrated_loudness(clip.wave)
      ),
    ),
    "loudness range off, LU": (
      "pyloudnorm",
      lambda clip, wave: (
        meter.loudness_range(wave) - meter.loudness_range(clip.wave)
      ),
    ),
    "multi-resolution distance": ("auraloss", distance),
    "E-L1 of RMS": ("librosa", rms),
  }


def _sets() -> dict[str, tuple[Callable, str, Callable | None]]:
  """What takes no wave: per call, ours and another's."""
  import mir_eval
  import scipy.linalg
  import scipy.ndimage
  from sklearn.metrics.pairwise import polynomial_kernel

  from vta.metrics import av_align, frechet, kernel, onsets

  rng = np.random.default_rng(0)
  first, second = rng.normal(size=(2, 1000, 512))
  right, found = np.sort(rng.uniform(0, 60, (2, 200)))
  image = scipy.ndimage.gaussian_filter(
    rng.normal(size=(240, 340, 3)), (3, 3, 0)
  )
  image = (255 * (image - image.min()) / np.ptp(image)).astype(np.uint8)
  # A camera that pans.
  frames = np.stack([image[:, 3 * i : 3 * i + 320] for i in range(6)])

  def sqrtm():
    one, other = np.cov(first.T), np.cov(second.T)
    return np.trace(scipy.linalg.sqrtm(one @ other))

  def pairs():
    for a, b in ((first, first), (second, second), (first, second)):
      polynomial_kernel(a, b, degree=3, coef0=1).sum()

  flow = None
  if importlib.util.find_spec("cv2"):
    import cv2

    def flow():
      grey = [cv2.cvtColor(f, cv2.COLOR_RGB2GRAY) for f in frames]
      for one, other in itertools.pairwise(grey):
        cv2.calcOpticalFlowFarneback(one, other, None, 0.5, 3, 15, 3, 5, 1.2, 0)

  return {
    "onset F1 of 200 and 200 onsets": (
      lambda: onsets.score(right, found, tolerance=0.1),
      "mir_eval",
      lambda: mir_eval.onset.f_measure(right, found, window=0.1),
    ),
    "FD of 1000 x 512": (
      lambda: frechet.distance(first, second),
      "scipy's sqrtm",
      sqrtm,
    ),
    "KID of 1000 x 512": (
      lambda: kernel.kid(first, second),
      "scikit-learn's kernel",
      pairs,
    ),
    "AV-Align's motion, 6 frames 320 x 240": (
      lambda: av_align.motion(frames),
      "OpenCV",
      flow,
    ),
  }


def main() -> None:
  """Prints both tables and writes the picture."""
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument("--clips", type=int, default=4)
  parser.add_argument(
    "--out", type=pathlib.Path, default=pathlib.Path("docs/metrics.png")
  )
  args = parser.parse_args()
  clips = damage.make_clips(args.clips)
  grades = {one.name: one.grades for one in damage.DAMAGES}
  values = heard.measure(clips, grades)
  print(table(values), flush=True)
  draw(values, args.out)
  print("\n| metric | per second | against | per second |\n|---|---|---|---|")
  for name, ours, label, theirs in speeds(clips[:2]):
    other = f"{theirs:.3g}" if theirs else "not installed" if label else ""
    print(f"| {name} | {ours:.3g} | {label} | {other} |", flush=True)


if __name__ == "__main__":
  main()
