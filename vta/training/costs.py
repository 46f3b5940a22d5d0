"""What a training step of the denoiser costs, by arithmetic.

Matrix products alone, two operations per multiplication, as everyone counts who
speaks of MFU (PaLM, arXiv 2204.02311, appendix B). Of a clip of n latents, s of
them in the residual stream (n + 1 where time is prepended), width w, with
k tokens of c channels for cross-attention, whose heads have v of w channels:

  self-attention      2 s w 4w + 4 s^2 w
  cross-attention     2 s w 2w + 2 k c 2v + 4 s k w     of each kind of tokens
  feed-forward        2 s w 3f                          f = ff_multiple w
  a block's sequence  2 s e w                           of e channels

per block, and the projections around the blocks. Backward is twice forward.
What is recomputed then (`remat`) is nothing, or of every block both products of
each attention ("dots": those between activations), or all but the last ("full":
nothing asks for the result of that one again). It is work, but of no use: MFU
leaves it out. So is what a conditioner does before its tokens are there.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from vta.conditioning import conditions as conditions_lib
from vta.models import dit

GIB = 2**30


@dataclasses.dataclass(frozen=True, kw_only=True)
class Chip:
  """A TPU chip as its maker describes it.

  Attributes:
    hbm: memory, bytes.
    peak: bfloat16 operations a second.
    links: bytes a second over all links to other chips, both ways together;
      None where the page does not say.
  """

  hbm: int
  peak: float
  links: float | None


# docs.cloud.google.com/tpu/docs/{v4,v5e,v5p,v6e}, "key chip specifications",
# which say GiB of v4 and v5p and GB of the others and mean the same.
CHIPS: Mapping[str, Chip] = {
  "v4": Chip(hbm=32 * GIB, peak=275e12, links=None),
  "v5e": Chip(hbm=16 * GIB, peak=197e12, links=400e9),
  "v5p": Chip(hbm=95 * GIB, peak=459e12, links=1200e9),
  "v6e": Chip(hbm=32 * GIB, peak=918e12, links=800e9),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Flops:
  """Operations of a step, of all clips and chips together."""

  forward: float
  backward: float
  recomputed: float

  @property
  def useful(self) -> float:
    """What MFU counts."""
    return self.forward + self.backward

  @property
  def all(self) -> float:
    """What chips do."""
    return self.useful + self.recomputed


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Work:
  """Operations of a block, or of all that is around the blocks.

  Attributes:
    layers: products with parameters, but for `last`.
    mixing: products between activations.
    last: the product whose result nothing in the block reads.
  """

  layers: float = 0.0
  mixing: float = 0.0
  last: float = 0.0

  @property
  def all(self) -> float:
    return self.layers + self.mixing + self.last


def step(
  config: dit.DiTConfig,
  conditions: conditions_lib.Conditions,
  *,
  clips: int,
  latents: int,
) -> Flops:
  """Of a training step.

  Args:
    config: the denoiser's.
    conditions: of a batch, arrays or their shapes.
    clips: in the batch.
    latents: of a clip.
  """
  stacks = _stacks(config, conditions, latents)
  forward = _around(config, conditions, latents)
  recomputed = 0.0
  for depth, block in stacks:
    forward += depth * block.all
    again = {
      "none": 0.0,
      "dots": block.mixing,
      "full": block.layers + block.mixing,
    }
    recomputed += depth * again[config.remat]
  return Flops(
    forward=clips * forward,
    backward=clips * 2.0 * forward,
    recomputed=clips * recomputed,
  )


def left_out(
  config: dit.DiTConfig,
  conditions: conditions_lib.Conditions,
  *,
  latents: int,
) -> float:
  """What a count of loops' bodies lacks, in units that another count shows.

  XLA counts a loop's body once. Compiled with two blocks an iteration, the same
  step counts one block more of each stack (two where the depth is odd: one is
  left over). All the others are this many times that difference; where stacks
  of several depths are added up, each has its share by its operations.
  """
  stacks = _stacks(config, conditions, latents)
  shown = sum((1 + depth % 2) * one.all for depth, one in stacks if depth > 1)
  hidden = sum((depth - 1) * one.all for depth, one in stacks)
  return hidden / shown if shown else 0.0


def _stacks(config, conditions, latents) -> list[tuple[int, _Work]]:
  """Depth of every stack of blocks, and what one of them does for a clip."""
  copied = conditions.replace(
    streams={k: s for k, s in conditions.streams.items() if s.mode == "concat"},
    block={},
  )
  stacks = [(config.depth, _block(config, conditions, latents))]
  for _ in conditions.control:
    copy = _block(config, copied, latents)
    # The layer on a copy's output reads what was the last of it.
    out = 2.0 * _length(config, latents) * config.width**2
    copy = _Work(layers=copy.layers + copy.last, mixing=copy.mixing, last=out)
    stacks.append((config.control_depth, copy))
  return stacks


def _block(config, conditions, latents) -> _Work:
  s, w = _length(config, latents), config.width
  v = w * config.cross_heads // config.heads
  layers, mixing = 2.0 * s * w * 4 * w, 4.0 * s**2 * w
  joined = 0
  for stream in conditions.streams.values():
    k, c = stream.tokens.shape[-2:]
    mixing += 4.0 * s * k * w
    if stream.mode == "concat":
      joined += k
      continue
    layers += 2.0 * k * c * 2 * v
    if stream.mode == "layer":
      layers += 2.0 * s * w * 2 * w
  if joined:
    layers += (
      2.0 * s * w * 2 * w + 2.0 * joined * config.condition_width * 2 * v
    )
  for sequence in conditions.block.values():
    layers += 2.0 * s * sequence.shape[-1] * w
  hidden = config.ff_multiple * w
  return _Work(
    layers=layers + 2.0 * s * w * 2 * hidden,
    mixing=mixing,
    last=2.0 * s * hidden * w,
  )


def _around(config, conditions, latents) -> float:
  """Everything but the blocks, forward."""
  n, w, c = latents, config.width, config.condition_width
  made = 2.0 * (config.time_features * w + w**2)
  made += 2.0 * n * (2 * config.latents * w + 2 * config.latents**2)
  if conditions.vector is not None:
    made += 2.0 * (conditions.vector.shape[-1] * w + w**2)
  if config.conditioning == "adaln":
    made += 2.0 * (w**2 + 6 * w**2)
  for stream in conditions.streams.values():
    if stream.mode == "concat":
      made += (
        2.0 * stream.tokens.shape[-2] * (stream.tokens.shape[-1] * c + c**2)
      )
  for sequence in conditions.input.values():
    made += 2.0 * n * sequence.shape[-1] * w
  for control in conditions.control.values():
    made += 2.0 * n * control.hint.shape[-1] * w
  return made


def _length(config, latents) -> int:
  return latents + (config.conditioning == "prepend")
