"""Estimates as tables to read and as JSON."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from vta.training import aot, costs

_HEAD = (
  "batch",
  "clips",
  "mesh",
  "remat",
  "fits",
  "GiB",
  "XLA, ms",
  "links, ms",
  "MFU",
  "with links",
  "100k steps",
)


def table(estimates: Sequence[aot.Estimate]) -> str:
  """A row for each, as Markdown."""
  rows = [_HEAD, ("---",) * len(_HEAD), *map(_row, estimates)]
  return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def describe(made: aot.Estimate, *, chip: costs.Chip) -> str:
  """One estimate in full."""
  lines = [
    f"{made.clips} clips of {made.latents} latents on {made.chips} chips"
  ]
  if made.memory:
    parts = dataclasses.asdict(made.memory)
    told = ", ".join(f"{name} {_gib(size)}" for name, size in parts.items())
    lines.append(
      f"memory of a chip: {_gib(made.memory.all)} of {_gib(chip.hbm)} GiB: "
      + told
    )
  lines.append("it fits" if made.fits else f"it does not fit: {made.why}")
  if not made.fits:
    return "\n".join(lines)
  lines.append("collectives of a step, per chip:")
  for name, kind in made.traffic.kinds.items():
    lines.append(
      f"  {name:<18} {kind.count:>5}  {kind.bytes / 1e9:.3f} GB, "
      f"{kind.wire / 1e9:.3f} GB to send"
    )
  if None in made.traffic.loops:
    lines.append("  (in a loop of unknown length, counted once)")
  flops = made.flops
  lines += [
    f"estimated operations: {flops.all / 1e12:.1f} TFLOP: forward "
    f"{flops.forward / 1e12:.1f}, backward {flops.backward / 1e12:.1f}, "
    f"recomputed {flops.recomputed / 1e12:.1f}",
  ]
  if made.compute is None:
    return "\n".join([*lines, made.why])
  sent = ""
  if made.links is not None:
    sent = f", links at full rate {_ms(made.links)} ms"
  lines += [
    f"estimated time: {_ms(made.compute)} ms by XLA{sent}",
    f"estimated MFU: {made.mfu:.1%}, {made.mfu_with_links:.1%} if nothing that "
    "is sent hides behind computation",
  ]
  if made.price is not None:
    lines.append(f"estimated price of {aot.STEPS} steps: {made.price:,.0f}")
  return "\n".join(lines)


def plain(made: aot.Estimate) -> dict[str, Any]:
  """As JSON takes it; seconds, bytes and operations."""
  return dataclasses.asdict(made)


def _row(made: aot.Estimate) -> tuple[str, ...]:
  one = made.candidate
  mesh = " ".join(f"{axis} {size}" for axis, size in one.mesh.items())
  known = (str(one.batch), str(made.clips or "-"), mesh, one.remat)
  room = _gib(made.memory.all) if made.memory else "-"
  if not made.fits:
    return (*known, f"no: {made.why}", room, *("-",) * 5)
  return (
    *known,
    "yes",
    room,
    _ms(made.compute),
    _ms(made.links),
    "-" if made.mfu is None else f"{made.mfu:.1%}",
    "-" if made.mfu is None else f"{made.mfu_with_links:.1%}",
    "-" if made.price is None else f"{made.price:,.0f}",
  )


def _gib(size: float) -> str:
  return f"{size / costs.GIB:.2f}"


def _ms(seconds: float | None) -> str:
  return "-" if seconds is None else f"{seconds * 1e3:.1f}"
