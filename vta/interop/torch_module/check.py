"""Compares this folder's networks with what vta computed: parity.safetensors.

  python FOLDER/check.py

Prints a line per component, the largest difference over the largest value, the
worst of its outputs; exits with 1 if one is above 1e-4. On the processor, in
float32.
"""

from __future__ import annotations

import pathlib
import sys
from collections.abc import Iterator, Mapping

import safetensors.torch
import torch
import vta_torch
from torch import Tensor
from vta_torch.conditions import Conditions

FOLDER = pathlib.Path(__file__).resolve().parent
LIMIT = 1e-4

Table = Mapping[str, Tensor]


def under(table: Table, prefix: str) -> dict[str, Tensor]:
  """Those whose names begin with `prefix`, without it."""
  return {
    name.removeprefix(prefix): tensor
    for name, tensor in table.items()
    if name.startswith(prefix)
  }


def to_table(conditions: Conditions) -> dict[str, Tensor]:
  """Conditions as the file has them."""
  table = {name: getattr(conditions, name) for name in ("tokens", "mask")}
  table["vector"] = conditions.vector
  for kind in ("input", "block"):
    for name, sequence in getattr(conditions, kind).items():
      table[f"{kind}/{name}"] = sequence
  return table


def from_table(table: Table) -> Conditions:
  """The inverse of `to_table`."""
  plain = {name: table[name] for name in ("tokens", "mask", "vector")}
  kinds = {kind: under(table, f"{kind}/") for kind in ("input", "block")}
  return Conditions(**plain, **kinds)


def error(got: Table, want: Table) -> float:
  """The largest difference over the largest value, the worst of all tensors."""
  if got.keys() != want.keys():
    raise ValueError(f"not in both: {sorted(got.keys() ^ want.keys())}")
  worst = []
  for name, expected in want.items():
    found, expected = got[name].double(), expected.double()
    if found.shape != expected.shape:
      raise ValueError(f"{name}: {found.shape}, not {expected.shape}")
    difference = (found - expected).abs().max()
    worst.append(difference / expected.abs().max().clamp(min=1e-30))
  return torch.stack(worst).max().item()  # NaN stays NaN


def results(
  model: vta_torch.Model, table: Table
) -> Iterator[tuple[str, float]]:
  """Component and error."""
  given = under(table, "conditioner/inputs/")
  want = under(table, "conditions/")
  made = model.conditioner(given, table["conditioner/keep"])
  yield "conditioner", error(to_table(made), want)
  noisy, time, mask, velocity = (
    table[f"denoiser/{name}"] for name in ("noisy", "time", "mask", "velocity")
  )
  made = model.denoiser(noisy, time, from_table(want), mask)
  yield "denoiser", error({"velocity": made}, {"velocity": velocity})
  mean, std = model.codec.encode(table["codec/wave"])
  want = {name: table[f"codec/{name}"] for name in ("mean", "std")}
  yield "codec.encode", error({"mean": mean, "std": std}, want)
  made = model.codec.decode(table["codec/latents"])
  yield "codec.decode", error({"": made}, {"": table["codec/decoded"]})


@torch.inference_mode()
def main() -> int:
  """Prints; returns 0 if all is well."""
  model = vta_torch.load(FOLDER)
  table = safetensors.torch.load_file(FOLDER / "parity.safetensors")
  well = True
  for name, found in results(model, table):
    print(f"{name:<12} {found:.1e}", flush=True)
    well &= found <= LIMIT
  return 0 if well else 1


if __name__ == "__main__":
  sys.exit(main())
