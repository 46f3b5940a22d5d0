"""What a run says of itself: JSONL, TensorBoard, a progress bar."""

from __future__ import annotations

import json
import math
import pathlib
import platform
import subprocess
import time
from collections.abc import Mapping
from importlib import metadata

import jax
import ml_collections
import tensorboardX
import tqdm
from jaxtyping import Array, Float

Scalar = float | Float[Array, ""]


class Telemetry:
  """Writes metrics to `metrics.jsonl`, to TensorBoard and to a progress bar."""

  def __init__(self, workdir: pathlib.Path, *, steps: int, start: int):
    self._file = (workdir / "metrics.jsonl").open("a")
    self._board = tensorboardX.SummaryWriter(str(workdir / "tensorboard"))
    self._bar = tqdm.tqdm(
      total=steps, initial=start, unit="step", dynamic_ncols=True
    )
    self._last = (start, time.monotonic())

  def log(self, step: int, metrics: Mapping[str, Scalar]) -> None:
    """Records metrics of `step`; raises FloatingPointError unless finite."""
    row = {name: float(value) for name, value in metrics.items()}
    self._file.write(json.dumps({"step": step, **row}) + "\n")
    self._file.flush()
    for name, value in row.items():
      self._board.add_scalar(name, value, step)
    broken = [name for name, value in row.items() if not math.isfinite(value)]
    if broken:
      raise FloatingPointError(
        f"not finite at step {step}: {', '.join(broken)}"
      )
    loss = next((v for k, v in row.items() if k.endswith("loss")), None)
    if loss is not None:
      self._bar.set_postfix(loss=f"{loss:.4f}")

  def rate(self, step: int) -> float:
    """Steps per second since the last call."""
    then, now = self._last, (step, time.monotonic())
    self._last = now
    return (now[0] - then[0]) / max(now[1] - then[1], 1e-9)

  def advance(self) -> None:
    self._bar.update(1)

  def close(self) -> None:
    self._bar.close()
    self._board.close()
    self._file.close()


def describe_run(config: ml_collections.ConfigDict) -> dict:
  """Versions, device, source revision and config: enough to run it again."""
  try:
    revision = subprocess.run(
      ["git", "describe", "--always", "--dirty"],
      capture_output=True,
      text=True,
      check=False,
      cwd=pathlib.Path(__file__).parent,
    ).stdout.strip()
  except OSError:  # a machine without git
    revision = ""
  packages = ("jax", "flax", "optax", "orbax-checkpoint", "grain", "numpy")
  return {
    "revision": revision or "not a git checkout",
    "versions": {name: metadata.version(name) for name in packages},
    "python": platform.python_version(),
    "device": jax.devices()[0].device_kind,
    "devices": jax.device_count(),
    "config": json.loads(config.to_json_best_effort()),
  }
