"""Resident memory while the input pipeline reads records without end."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import tempfile

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import tqdm

from benchmarks import clips, loaders

_CLIPS = 128  # that come again and again, as clips of another place each time
_LOOKS = 200  # at the memory
_WARM = 0.1  # of the records, until readers and buffers are all there


def _resident() -> float:
  """Of this process, MiB."""
  pages = int(pathlib.Path("/proc/self/statm").read_text().split()[1])
  return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def measure(records: int, out: pathlib.Path) -> None:
  """Reads as many records of 60 s, prints the slope and draws the curve."""
  matplotlib.use("agg")
  whole = clips.CASES["tri_ergon:l, 60 s"]
  case = dataclasses.replace(whole, window=216, batch=50)
  steps = records // case.batch
  every = max(steps // _LOOKS, 1)
  seen, memory = [], []
  with tempfile.TemporaryDirectory(prefix="vta-memory-") as folder:
    files = loaders.write(case, pathlib.Path(folder), count=_CLIPS)
    batches = loaders.ours(
      files["ours"],
      clips.example(case),
      again=-(-records // _CLIPS),
      batch=case.batch,
      seed=0,
    )
    for step in tqdm.trange(steps, unit="batch", mininterval=10.0):
      next(batches)
      if step % every == every - 1:
        seen.append((step + 1) * case.batch)
        memory.append(_resident())
  seen, memory = np.array(seen), np.array(memory)
  steady = seen > _WARM * seen[-1]
  slope, _ = np.polyfit(seen[steady], memory[steady], 1)
  print(
    f"{seen[-1]:,} records of {whole.seconds:g} s, crops of "
    f"{case.window / clips.RATE:.0f} s: resident {memory[steady].min():.0f} to "
    f"{memory[steady].max():.0f} MiB, {slope * 1e5:+.3f} MiB per 100,000"
  )
  figure, axes = plt.subplots(figsize=(6.4, 3.2), layout="constrained")
  axes.plot(seen / 1e3, memory)
  axes.set(
    xlabel="thousands of records",
    ylabel="resident memory, MiB",
    ylim=(0, 1.2 * memory.max()),
    title="The input pipeline, records of 60 s",
  )
  figure.savefig(out, dpi=100)
  plt.close(figure)
