"""One side of a comparison in a process of its own: its memory is its own.

  python -m benchmarks.sides {theirs,ours,whole} CASE WEIGHTS OUTPUT

Loads, then computes once per line on its standard input and answers with the
seconds that it took, by the clock and of the processor; at the end it writes
what it computed and answers with its peak memory since it has loaded: weights,
compilation and computation.
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
import subprocess
import sys
import time

import numpy as np

from benchmarks import stable_audio


class Side:
  """A running side; `with` ends it."""

  def __init__(self, name: str, case: stable_audio.Case, weights: pathlib.Path):
    self._output = weights.with_name(f"{name}.npz")
    arguments = [name, json.dumps(dataclasses.asdict(case)), weights]
    self._process = subprocess.Popen(
      [sys.executable, "-m", "benchmarks.sides", *arguments, self._output],
      stdin=subprocess.PIPE,
      stdout=subprocess.PIPE,
      text=True,
    )

  def __enter__(self) -> Side:
    return self

  def __exit__(self, *_) -> None:
    self._process.stdin.close()
    self._process.stdout.close()
    self._process.wait()
    self._output.unlink(missing_ok=True)

  def run(self) -> tuple[float, float]:
    """Computes once: seconds by the clock, and of the processor."""
    clock, processor = self._ask("run")
    return clock, processor

  def finish(self) -> tuple[dict[str, np.ndarray], float]:
    """What was computed last, and the process's peak memory in GiB, from
    when it had loaded."""
    (peak,) = self._ask("finish")
    with np.load(self._output) as file:
      return dict(file), peak

  def _ask(self, line: str) -> list[float]:
    print(line, file=self._process.stdin, flush=True)
    answer = self._process.stdout.readline()
    if not answer:
      raise RuntimeError(f"a side ended with status {self._process.wait()}")
    return json.loads(answer)


def _peak() -> float:
  """This process's high-water mark of resident memory, GiB."""
  status = pathlib.Path("/proc/self/status").read_text()
  (line,) = (x for x in status.splitlines() if x.startswith("VmHWM"))
  return int(line.split()[1]) / 2**20


def main() -> None:
  """Runs a side."""
  name, case, weights, output = sys.argv[1:]
  case = stable_audio.Case(**json.loads(case))
  compute = getattr(stable_audio, name)(case, pathlib.Path(weights))
  # Linux then counts its high-water mark anew. While loading, the pages of a
  # mapped file count as ours, which the system may take back at any time.
  pathlib.Path("/proc/self/clear_refs").write_text("5")
  made = {}
  for line in sys.stdin:
    if line.strip() == "finish":
      np.savez(output, **made)
      print([_peak()], flush=True)
    else:
      start = time.monotonic(), time.process_time()
      made = compute()
      stop = time.monotonic(), time.process_time()
      print([stop[0] - start[0], stop[1] - start[1]], flush=True)


if __name__ == "__main__":
  main()
