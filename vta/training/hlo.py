"""What a compiled program sends between devices, read off its text.

XLA's own analysis counts the body of a loop once, and says nothing of
collectives. Here each is counted as often as it runs: the loops that `nn.scan`
makes count from 0 in ones up to a constant in their condition.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterator, Mapping, Sequence

KINDS = (
  "all-gather",
  "all-reduce",
  "all-to-all",
  "collective-broadcast",
  "collective-permute",
  "ragged-all-to-all",
  "reduce-scatter",
)
# Per chip of n, of the larger of what goes in and what comes out: what has to
# pass a chip's links at the least, by a ring (Thakur et al. 2005).
_PASSES = {"all-reduce": 2.0}
_WHOLE = ("collective-permute", "collective-broadcast")

_COMPUTATION = re.compile(r"(?:ENTRY )?%?([\w.\-]+) \(.*\{$")
_INSTRUCTION = re.compile(
  r"\s+(?:ROOT )?%?([\w.\-]+) = (.*?) ([a-z][a-z0-9\-]*)\((.*)"
)
_ARRAY = re.compile(r"([a-z]+\d*\w*)\[([\d,<=]*)\]")
_CALLS = re.compile(
  r"(?:calls|to_apply|body|true_computation|false_computation)=%?([\w.\-]+)"
)
_BRANCHES = re.compile(r"branch_computations=\{([^}]*)\}")
_CALLERS = frozenset(("fusion", "call", "async-start", "while", "conditional"))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Collectives:
  """All of a kind that a device takes part in when the program runs once.

  Attributes:
    count: how often.
    bytes: of the larger of what goes in and what comes out, together.
    wire: bytes that have to leave a device, at the least.
  """

  count: int = 0
  bytes: float = 0.0
  wire: float = 0.0

  def __add__(self, other: Collectives) -> Collectives:
    return Collectives(
      count=self.count + other.count,
      bytes=self.bytes + other.bytes,
      wire=self.wire + other.wire,
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Traffic:
  """A program's collectives.

  Attributes:
    kinds: kind -> all of that kind.
    loops: how often the body of each loop runs, None where the text does not
      say so: it is then counted once.
  """

  kinds: Mapping[str, Collectives]
  loops: tuple[int | None, ...]

  @property
  def wire(self) -> float:
    """Bytes that have to leave a device, at the least."""
    return sum(kind.wire for kind in self.kinds.values())


@dataclasses.dataclass(frozen=True)
class _Instruction:
  name: str
  shape: str
  opcode: str
  rest: str  # operands and attributes


def traffic(text: str, *, devices: int) -> Traffic:
  """Collectives of a program.

  A gather that XLA makes of an all-reduce of zeros and one share is counted as
  what it is, an all-reduce.

  Args:
    text: `compiled.as_text()`.
    devices: that it runs on.
  """
  computations, entry = _parse(text)
  found: dict[str, Collectives] = {}
  loops: list[int | None] = []

  def walk(name: str, times: int) -> None:
    for one in computations.get(name, ()):
      kind = one.opcode.removesuffix("-start")
      if kind in KINDS:
        own = _collective(one, kind, devices)
        if name.startswith("all-reduce-scatter"):
          # What a TPU runs in place of the two that are in this fusion.
          kind = "reduce-scatter"
          own = dataclasses.replace(own, wire=own.wire / _PASSES["all-reduce"])
        many = Collectives(
          count=times, bytes=times * own.bytes, wire=times * own.wire
        )
        found[kind] = found.get(kind, Collectives()) + many
      if one.opcode not in _CALLERS:
        continue
      turns = 1
      if one.opcode == "while":
        known = _turns(one, computations)
        loops.append(known)
        turns = known or 1
      for called in _called(one):
        walk(called, times * turns)

  walk(entry, 1)
  return Traffic(kinds=dict(sorted(found.items())), loops=tuple(loops))


def _parse(text: str) -> tuple[dict[str, list[_Instruction]], str]:
  """Computations by name, and which one is the program."""
  computations: dict[str, list[_Instruction]] = {}
  entry, inside = "", None
  for line in text.splitlines():
    if inside is not None and (match := _INSTRUCTION.match(line)):
      inside.append(_Instruction(*match.groups()))
    elif match := _COMPUTATION.match(line):
      inside = computations.setdefault(match[1], [])
      if line.startswith("ENTRY"):
        entry = match[1]
    elif line.startswith("}"):
      inside = None
  if not entry:
    raise ValueError("this is no text of a program: it has no ENTRY")
  return computations, entry


def _called(one: _Instruction) -> Iterator[str]:
  yield from _CALLS.findall(one.rest)
  for branches in _BRANCHES.findall(one.rest):
    yield from (name.strip(" %") for name in branches.split(","))


def _turns(
  loop: _Instruction, computations: Mapping[str, Sequence[_Instruction]]
) -> int | None:
  """How often a loop runs, None where it is not plain to see."""
  if match := re.search(r'known_trip_count[^}]*?"n":"(\d+)"', loop.rest):
    return int(match[1])
  match = re.search(r"condition=%?([\w.\-]+)", loop.rest)
  if not match:
    return None
  condition = computations.get(match[1], ())
  bounds = {
    one.name: int(value[0])
    for one in condition
    if one.opcode == "constant" and (value := re.findall(r"^(\d+)\)", one.rest))
  }
  for one in condition:
    if one.opcode == "compare" and "direction=LT" in one.rest:
      operands = re.findall(r"%?([\w.\-]+)", one.rest.partition(")")[0])
      return next((bounds[name] for name in operands if name in bounds), None)
  # What compares may be a fusion, and then the bound is its only constant.
  return next(iter(bounds.values())) if len(bounds) == 1 else None


def _collective(one: _Instruction, kind: str, devices: int) -> Collectives:
  shape = one.shape
  if one.opcode in ("all-gather-start", "collective-permute-start"):
    shape = _elements(shape)[1]  # what goes in, what comes out
  size = _bytes(shape)
  group = _group(one.rest) or devices
  if kind == "reduce-scatter":
    size *= group
  share = 1.0 if kind in _WHOLE else (group - 1) / group
  return Collectives(
    count=1, bytes=size, wire=size * share * _PASSES.get(kind, 1.0)
  )


def _group(attributes: str) -> int | None:
  """Devices of a group; None where all are one."""
  if match := re.search(r"replica_groups=\{\{([\d,]+)\}", attributes):
    return match[1].count(",") + 1
  if match := re.search(r"replica_groups=\[\d+,(\d+)\]<=", attributes):
    return int(match[1])
  match = re.search(
    r"replica_groups=mesh\[([^\]]*)\].*?\{('[^}]*)\}", attributes
  )
  if match:
    sizes = dict(re.findall(r"'(\w+)'=(\d+)", match[1]))
    # A part of an axis is written 'name':(what is before it)its size.
    parts = re.findall(r"'(\w+)'(?::\(\d+\)(\d+))?", match[2])
    return math.prod(int(part or sizes[name]) for name, part in parts)
  return None


def _elements(shape: str) -> list[str]:
  """Elements of a tuple; those of a tuple in it stay together."""
  if not shape.startswith("("):
    return [shape]
  parts, depth = [""], 0
  for char in shape[1:-1]:
    depth += (char in "([{") - (char in ")]}")
    if char == "," and depth == 0:
      parts.append("")
    else:
      parts[-1] += char
  return [part.strip() for part in parts]


def _bytes(shape: str) -> float:
  """Of an array or of all in a tuple, padding left out."""
  total = 0.0
  for kind, sizes in _ARRAY.findall(shape):
    bits = 8 if kind == "pred" else int((re.findall(r"\d+", kind) or ["0"])[0])
    dims = [int(size.removeprefix("<=")) for size in sizes.split(",") if size]
    total += math.prod(dims) * bits / 8
  return total
