"""The denoiser: Stable Audio Open's diffusion transformer, with five entries.

The backbone is papers.md 3.6, number for number; the entries of `Conditions`
act on it as papers.md 7.1 lays out. Whatever an entry adds starts at zero, so a
trained model behaves the same on the first step after it is given a new one.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Bool, Float

from vta.conditioning.conditions import Conditions, Control, Stream
from vta.models import layers
from vta.models.attention import Attention

_ACTIVATION = ("batch", "length", "width")
_POLICIES = {
  "full": jax.checkpoint_policies.nothing_saveable,
  "dots": jax.checkpoint_policies.dots_with_no_batch_dims_saveable,
}
REMATS = ("none", *_POLICIES)


@dataclasses.dataclass(frozen=True, kw_only=True)
class DiTConfig:
  """Geometry and execution of the denoiser; the defaults are Tri-Ergon-L's.

  Attributes:
    latents: channels of a latent frame.
    width: channels of the residual stream, `heads` times the head size.
    depth: number of blocks.
    heads: query heads, and key and value heads of self-attention.
    cross_heads: key and value heads of cross-attention; divides `heads`.
    condition_width: channels that the streams' tokens are projected to.
    time_features: Fourier features of the diffusion time.
    ff_multiple: hidden channels of the feed-forward over `width`.
    conditioning: where time and `Conditions.vector` go: a prepended token
      (Stable Audio Open) or scales, shifts and gates of the blocks.
    qk_norm: RMS normalisation of queries and keys.
    control_depth: how many first blocks a control branch copies.
    remat: what the backward pass recomputes: nothing, all, or all but the
      matrix products.
    unroll: blocks per iteration of the loop over blocks.
    dtype: of matrix products and the residual stream; parameters, norms'
      statistics, rotary positions and softmax are float32 always.
  """

  latents: int = 64
  width: int = 1536
  depth: int = 24
  heads: int = 24
  cross_heads: int = 12
  condition_width: int = 768
  time_features: int = 256
  ff_multiple: int = 4
  conditioning: Literal["prepend", "adaln"] = "prepend"
  qk_norm: bool = False
  control_depth: int = 0
  remat: Literal["none", "full", "dots"] = "none"
  unroll: int = 1
  dtype: Literal["float32", "bfloat16"] = "float32"


@struct.dataclass
class Shared:
  """What every block sees: one value for the whole stack."""

  rotary: layers.Rotary
  mask: Bool[Array, "b t"] | None
  tokens: Float[Array, "b n d"] | None
  tokens_mask: Bool[Array, "b n"] | None
  decoupled: dict[str, Stream]
  layers: dict[str, Stream]
  sequences: dict[str, Float[Array, "b t _"]]
  modulation: Float[Array, "b _"] | None


class Block(nn.Module):
  """Self-attention, cross-attentions, aligned sequences, feed-forward."""

  config: DiTConfig

  @nn.compact
  def __call__(
    self,
    x: Float[Array, "b t c"],
    residual: Float[Array, "b t c"] | None,
    shared: Shared,
  ) -> tuple[Float[Array, "b t c"], None]:
    """Returns the stream after the block (plus a control's `residual`)."""
    c, dtype = self.config, jnp.dtype(self.config.dtype)

    modulations = [None, None]
    if shared.modulation is not None:
      own = self.param(
        "to_scale_shift_gate", nn.initializers.zeros_init(), (6 * c.width,)
      )
      both = (shared.modulation + own[None]).astype(dtype)
      modulations = jnp.split(both[:, None], 2, axis=-1)

    def branch(name, layer, modulation):
      h = layers.layer_norm(name, dtype=dtype)(x)
      if modulation is None:
        return layer(h)
      scale, shift, gate = jnp.split(modulation, 3, axis=-1)
      # sigmoid(1 - gate), not gate: Stable Audio's, 0.73 at the start.
      return layer(h * (1 + scale) + shift) * jax.nn.sigmoid(1 - gate)

    attention = Attention(c.heads, c.heads, c.qk_norm, dtype, name="attn1")
    x += branch(
      "norm1",
      lambda h: attention(h, h, mask=shared.mask, rotary=shared.rotary),
      modulations[0],
    )
    if shared.tokens is not None:
      cross = Attention(c.heads, c.cross_heads, c.qk_norm, dtype, name="attn2")
      x += cross(
        layers.layer_norm("norm2", dtype=dtype)(x),
        shared.tokens,
        mask=shared.tokens_mask,
        decoupled=shared.decoupled,
      )
    for name, stream in sorted(shared.layers.items()):
      cross = Attention(
        c.heads, c.cross_heads, c.qk_norm, dtype, name=f"attn_{name}"
      )
      h = layers.layer_norm(f"norm_{name}", dtype=dtype)(x)
      added = cross(h, stream.tokens, mask=stream.mask)
      if stream.scale is not None:
        added *= stream.scale.astype(dtype)[:, None, None]
      x += added
    for name, sequence in sorted(shared.sequences.items()):
      entry = layers.dense(c.width, f"block_{name}", dtype=dtype, zero=True)
      x += entry(sequence)
    hidden = c.ff_multiple * c.width
    x += branch(
      "norm3", layers.FeedForward(hidden, dtype, name="ff"), modulations[1]
    )
    if residual is not None:
      x += residual
    return nn.with_logical_constraint(x, _ACTIVATION), None


class ControlBlock(nn.Module):
  """A copied block and the zero-initialised layer on its output."""

  config: DiTConfig

  @nn.compact
  def __call__(
    self, x: Float[Array, "b t c"], residual: None, shared: Shared
  ) -> tuple[Float[Array, "b t c"], Float[Array, "b t c"]]:
    """Returns the copy's stream and what it adds to the base's."""
    x, _ = Block(self.config, name="block")(x, residual, shared)
    dtype = jnp.dtype(self.config.dtype)
    return x, layers.dense(x.shape[-1], "out", dtype=dtype, zero=True)(x)


def _stack(block: type[nn.Module], config: DiTConfig, depth: int, name: str):
  """`depth` blocks as one loop; parameters are stacked on a first axis."""
  if config.remat != "none":
    block = nn.remat(block, policy=_POLICIES[config.remat], prevent_cse=False)
  scanned = nn.scan(
    block,
    variable_axes={"params": 0},
    split_rngs={"params": True},
    in_axes=(0, nn.broadcast),
    length=depth,
    unroll=min(config.unroll, depth),
  )
  return scanned(config, name=name)


class ControlBranch(nn.Module):
  """ControlNet for a transformer without skips: copies feed the residuals.

  EzAudio's precedent, PixArt's wiring: block l of the copy adds to the stream
  after base block l (papers.md, 7.1).
  """

  config: DiTConfig

  @nn.compact
  def __call__(
    self, x: Float[Array, "b t c"], control: Control, shared: Shared
  ) -> Float[Array, "l b t c"]:
    """Returns what is added after each of the first `control_depth` blocks."""
    c, dtype = self.config, jnp.dtype(self.config.dtype)
    hint = layers.dense(c.width, "hint", dtype=dtype, zero=True)(control.hint)
    x += _pad_front(hint, to=x.shape[1])
    # As the papers' copies, which get text and time: what is made for the base
    # alone, another adapter, is none of a copy's business.
    shared = shared.replace(decoupled={}, layers={}, sequences={})
    blocks = _stack(ControlBlock, c, c.control_depth, "blocks")
    _, residuals = blocks(x, None, shared)
    return residuals * control.scale.astype(dtype)[None, :, None, None]


class DiT(nn.Module):
  """The denoiser, from noisy latents to velocity.

  Tokens of "concat" streams are joined and projected by the two bias-free
  layers of Stable Audio Open, so zeros stay a null; "decoupled" streams, which
  need at least one "concat" stream beside them, and those with a "layer" of
  their own enter each block as they are.
  """

  config: DiTConfig

  @nn.compact
  def __call__(
    self,
    x: Float[Array, "b t c"],
    time: Float[Array, "b"],
    conditions: Conditions,
    *,
    mask: Bool[Array, "b t"] | None = None,
  ) -> Float[Array, "b t c"]:
    """Predicts v = alpha noise - sigma clean.

    Args:
      x: noisy latents.
      time: diffusion time, 0 (clean) to 1 (noise).
      conditions: the entries; sequences and hints are at latent time.
      mask: which latents are part of the clip; None means all. Those that are
        not are never attended to, and their velocity means nothing.

    Raises:
      ValueError: for decoupled streams without a "concat" stream, or a control
        in a model without `control_depth`.
    """
    c, dtype = self.config, jnp.dtype(self.config.dtype)
    _check(conditions, c)
    clip_vector = _two_layers(
      "timestep_proj",
      layers.FourierFeatures(c.time_features, name="time_proj")(time),
      (c.width, c.width),
      dtype=dtype,
      bias=True,
    )
    if conditions.vector is not None:
      clip_vector += _two_layers(
        "global_proj",
        conditions.vector,
        (c.width, c.width),
        dtype=dtype,
        zero=True,
      )

    # In and out in float32: rounded to 8 bits, what guidance amplifies would
    # be heard.
    x += layers.dense(c.latents, "preprocess_conv", zero=True)(x)
    h = layers.dense(c.width, "proj_in", dtype=dtype)(x)
    for name, sequence in sorted(conditions.input.items()):
      entry = layers.dense(c.width, f"input_{name}", dtype=dtype, zero=True)
      h += entry(sequence)

    modulation = None
    if c.conditioning == "adaln":
      modulation = _two_layers(
        "global_cond_embedder",
        clip_vector,
        (c.width, 6 * c.width),
        dtype=dtype,
        bias=True,
        zero=True,
      )
    else:
      h = jnp.concatenate([clip_vector[:, None], h], axis=1)
      if mask is not None:
        mask = jnp.pad(mask, ((0, 0), (1, 0)), constant_values=True)
    h = nn.with_logical_constraint(h, _ACTIVATION)

    length = h.shape[1]
    tokens, tokens_mask = self._tokens(conditions)
    shared = Shared(
      # Half of a head's channels carry position; the prepended token is 0.
      rotary=layers.rotary_table(length, c.width // c.heads // 2),
      mask=mask,
      tokens=tokens,
      tokens_mask=tokens_mask,
      decoupled=_select(conditions, "decoupled"),
      layers=_select(conditions, "layer"),
      sequences={
        name: _pad_front(sequence, to=length)
        for name, sequence in conditions.block.items()
      },
      modulation=modulation,
    )
    residuals = None
    for name, control in sorted(conditions.control.items()):
      added = ControlBranch(c, name=f"control_{name}")(h, control, shared)
      residuals = added if residuals is None else residuals + added
    if residuals is not None:
      # One loop over all blocks keeps one parameter stack: the rest add zero.
      rest = ((0, c.depth - c.control_depth), (0, 0), (0, 0), (0, 0))
      residuals = jnp.pad(residuals, rest)

    h = self._blocks(h, residuals, shared)
    y = layers.dense(c.latents, "proj_out")(h[:, -x.shape[1] :])
    return y + layers.dense(c.latents, "postprocess_conv", zero=True)(y)

  def _blocks(self, h, residuals, shared: Shared):
    c = self.config
    if not self.has_variable("params", "transformer_blocks_0"):
      blocks = _stack(Block, c, c.depth, "transformer_blocks")
      return blocks(h, residuals, shared)[0]
    for i in range(c.depth):
      added = None if residuals is None else residuals[i]
      h, _ = Block(c, name=f"transformer_blocks_{i}")(h, added, shared)
    return h

  def _tokens(self, conditions: Conditions):
    streams = _select(conditions, "concat")
    if not streams:
      return None, None
    streams = [stream for _, stream in sorted(streams.items())]
    width = self.config.condition_width
    tokens = _two_layers(
      "cross_attention_proj",
      jnp.concatenate([stream.tokens for stream in streams], axis=1),
      (width, width),
      dtype=jnp.dtype(self.config.dtype),
    )
    return tokens, jnp.concatenate([s.mask for s in streams], axis=1)


def separate_blocks(params: dict) -> dict:
  """Each block's parameters apart, which `DiT` takes as well.

  A loop over stacked parameters copies those of a block before it multiplies
  by them: on a processor an eighth of a step with few latents. Without a loop
  nothing is copied, and compilation takes as many times as long as there are
  blocks: right for sampling there (`vta.inference.generator`), wrong for
  training.

  Args:
    params: the denoiser's, blocks stacked.
  """
  params = dict(params)
  stacked = params.pop("transformer_blocks")
  for i in range(len(jax.tree.leaves(stacked)[0])):
    block = jax.tree.map(lambda x, n=i: x[n], stacked)
    params[f"transformer_blocks_{i}"] = block
  return params


def start_controls(params: dict) -> dict:
  """Copies the base's first blocks into every control branch of `params`.

  Args:
    params: the denoiser's parameters, with branches at random values.

  Returns:
    The parameters from which to train the branches beside a trained base.
  """
  base, params = params["transformer_blocks"], dict(params)
  for name, branch in params.items():
    if name.startswith("control_"):
      # A copy has less than the base where the base has been added to.
      copy = jax.tree.map(
        lambda mine, theirs: theirs[: len(mine)],
        branch["blocks"]["block"],
        _common(branch["blocks"]["block"], base),
      )
      blocks = {**branch["blocks"], "block": copy}
      params[name] = {**branch, "blocks": blocks}
  return params


def _common(mine: dict, theirs: dict) -> dict:
  """What is in both, as it is in `theirs`."""
  return {
    name: _common(value, theirs[name])
    if isinstance(value, dict)
    else theirs[name]
    for name, value in mine.items()
  }


def _check(conditions: Conditions, config: DiTConfig) -> None:
  if _select(conditions, "decoupled") and not _select(conditions, "concat"):
    raise ValueError("decoupled streams need a concat stream beside them")
  if conditions.control and not config.control_depth:
    raise ValueError("a control needs control_depth of at least 1")


def _select(conditions: Conditions, mode: str) -> dict[str, Stream]:
  return {k: s for k, s in conditions.streams.items() if s.mode == mode}


def _two_layers(name, x, widths, *, dtype, bias=False, zero=False):
  """Linear, SiLU, linear: torch's Sequential with indices 0, 1 and 2."""
  x = layers.dense(widths[0], f"{name}_0", dtype=dtype, bias=bias)(x)
  last = layers.dense(widths[1], f"{name}_2", dtype=dtype, bias=bias, zero=zero)
  return last(jax.nn.silu(x))


def _pad_front(x: Float[Array, "b t c"], *, to: int) -> Float[Array, "b s c"]:
  """Zero rows in front, where the prepended token is; layers are bias-free."""
  return jnp.pad(x, ((0, 0), (to - x.shape[1], 0), (0, 0)))
