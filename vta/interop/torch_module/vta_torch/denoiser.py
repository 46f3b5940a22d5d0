"""The denoiser: Stable Audio Open's diffusion transformer, with more entries.

Where diffusers' StableAudioDiTModel has the same layer, it has the same name.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from vta_torch.conditions import Conditions


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
  """Sizes of the denoiser: config.json's "denoiser".

  Attributes:
    latents: channels of a latent frame.
    width: channels of the residual stream.
    depth: number of blocks.
    heads: query heads, and key and value heads of self-attention.
    cross_heads: key and value heads of cross-attention.
    condition_width: channels that the tokens are projected to.
    time_features: Fourier features of the diffusion time.
    ff_multiple: hidden channels of the feed-forward over `width`.
    conditioning: "prepend", time and vector as a token in front, or "adaln",
      as scales, shifts and gates of the blocks.
    qk_norm: RMS normalisation of queries and keys.
    tokens, vector: channels of `Conditions`' tokens and vector.
    input, block: name -> channels of its sequences.
  """

  latents: int
  width: int
  depth: int
  heads: int
  cross_heads: int
  condition_width: int
  time_features: int
  ff_multiple: int
  conditioning: str
  qk_norm: bool
  tokens: int
  vector: int
  input: Mapping[str, int]
  block: Mapping[str, int]


def _linears(sizes: Mapping[str, int], width: int) -> nn.ModuleDict:
  return nn.ModuleDict(
    {name: nn.Linear(size, width, bias=False) for name, size in sizes.items()}
  )


def _two_layers(
  size: int, hidden: int, out: int, *, bias: bool
) -> nn.Sequential:
  return nn.Sequential(
    nn.Linear(size, hidden, bias=bias),
    nn.SiLU(),
    nn.Linear(hidden, out, bias=bias),
  )


def rotate(x: Tensor) -> Tensor:
  """Rotary positions on half of each head's channels; x is [b, h, t, d].

  Channel i pairs with channel i + d / 4, the rest carries no position.
  """
  size = x.shape[-1] // 2
  # In float64: an angle of hundreds of radians keeps few digits in float32.
  powers = torch.arange(0, size, 2, dtype=torch.float64) / size
  positions = torch.arange(x.shape[-2], dtype=torch.float64)
  angles = positions[:, None] * 10_000.0**-powers
  cos, sin = angles.cos().to(x), angles.sin().to(x)
  r = cos.shape[-1]
  first, second, rest = x.split([r, r, x.shape[-1] - 2 * r], dim=-1)
  return torch.cat(
    [first * cos - second * sin, second * cos + first * sin, rest], dim=-1
  )


class Attention(nn.Module):
  """Multi-head attention without biases; queries may share keys and values."""

  def __init__(self, width: int, source: int, kv_heads: int, s: Settings):
    super().__init__()
    self.size = width // s.heads
    self.to_q = nn.Linear(width, width, bias=False)
    self.to_k = nn.Linear(source, kv_heads * self.size, bias=False)
    self.to_v = nn.Linear(source, kv_heads * self.size, bias=False)
    self.to_out = nn.ModuleList([nn.Linear(width, width, bias=False)])
    for name in ("norm_q", "norm_k"):
      norm = nn.RMSNorm(self.size, eps=1e-6) if s.qk_norm else nn.Identity()
      self.add_module(name, norm)

  def forward(
    self, x: Tensor, source: Tensor, mask: Tensor, *, rotary: bool = False
  ) -> Tensor:
    """[b, t, c] over [b, s, e], where `mask` [b, s] allows."""

    def heads(y: Tensor) -> Tensor:
      return y.unflatten(-1, (-1, self.size)).transpose(1, 2)

    q = self.norm_q(heads(self.to_q(x)))
    k = self.norm_k(heads(self.to_k(source)))
    v = heads(self.to_v(source))
    if rotary:
      q, k = rotate(q), rotate(k)
    k, v = (
      y.repeat_interleave(q.shape[1] // y.shape[1], dim=1) for y in (k, v)
    )
    # Finite, as in vta: nothing to attend to is not NaN.
    lowest = torch.finfo(q.dtype).min
    bias = (~mask[:, None, None]).to(q.dtype) * lowest
    y = functional.scaled_dot_product_attention(q, k, v, attn_mask=bias)
    return self.to_out[0](y.transpose(1, 2).flatten(2))


class _Gated(nn.Module):
  def __init__(self, width: int, hidden: int):
    super().__init__()
    self.proj = nn.Linear(width, 2 * hidden)

  def forward(self, x: Tensor) -> Tensor:
    value, gate = self.proj(x).chunk(2, dim=-1)
    return value * functional.silu(gate)


class FeedForward(nn.Module):
  """Linear, value x SiLU(gate), linear."""

  def __init__(self, width: int, hidden: int):
    super().__init__()
    self.net = nn.Sequential(
      _Gated(width, hidden), nn.Identity(), nn.Linear(hidden, width)
    )

  def forward(self, x: Tensor) -> Tensor:
    return self.net(x)


class Block(nn.Module):
  """Self-attention, cross-attention, aligned sequences, feed-forward."""

  def __init__(self, s: Settings):
    super().__init__()
    self.norm1 = nn.LayerNorm(s.width)
    self.attn1 = Attention(s.width, s.width, s.heads, s)
    self.norm2 = nn.LayerNorm(s.width)
    self.attn2 = Attention(s.width, s.condition_width, s.cross_heads, s)
    self.norm3 = nn.LayerNorm(s.width)
    self.ff = FeedForward(s.width, s.ff_multiple * s.width)
    self.block = _linears(s.block, s.width)
    if s.conditioning == "adaln":
      self.to_scale_shift_gate = nn.Parameter(torch.zeros(6 * s.width))

  def forward(
    self,
    x: Tensor,
    mask: Tensor,
    conditions: Conditions,
    modulation: Tensor | None,
  ) -> Tensor:
    """The stream [b, t, c] after the block; `modulation` is [b, 6 c]."""
    if modulation is None:
      h = self.norm1(x)
      x = x + self.attn1(h, h, mask, rotary=True)
    else:
      both = (modulation + self.to_scale_shift_gate)[:, None]
      scale, shift, gate, scale_ff, shift_ff, gate_ff = both.chunk(6, dim=-1)
      h = self.norm1(x) * (1 + scale) + shift
      h = self.attn1(h, h, mask, rotary=True)
      x = x + h * torch.sigmoid(1 - gate)
    x = x + self.attn2(self.norm2(x), conditions.tokens, conditions.mask)
    for name, layer in self.block.items():
      sequence = layer(conditions.block[name])
      # Nothing is added to the token in front, if there is one.
      x = x + functional.pad(
        sequence, (0, 0, x.shape[1] - sequence.shape[1], 0)
      )
    if modulation is None:
      return x + self.ff(self.norm3(x))
    h = self.norm3(x) * (1 + scale_ff) + shift_ff
    return x + self.ff(h) * torch.sigmoid(1 - gate_ff)


class FourierFeatures(nn.Module):
  """Diffusion time [b] as cosines and sines [b, f]."""

  def __init__(self, features: int):
    super().__init__()
    self.weight = nn.Parameter(torch.randn(features // 2))

  def forward(self, time: Tensor) -> Tensor:
    angles = 2 * math.pi * time[:, None] * self.weight
    return torch.cat([angles.cos(), angles.sin()], dim=-1)


class Denoiser(nn.Module):
  """From noisy latents to velocity."""

  def __init__(self, settings: Settings):
    super().__init__()
    s, width = settings, settings.width
    self.settings = settings
    self.time_proj = FourierFeatures(s.time_features)
    self.timestep_proj = _two_layers(s.time_features, width, width, bias=True)
    self.global_proj = _two_layers(s.vector, width, width, bias=False)
    self.cross_attention_proj = _two_layers(
      s.tokens, s.condition_width, s.condition_width, bias=False
    )
    if s.conditioning == "adaln":
      self.global_cond_embedder = _two_layers(
        width, width, 6 * width, bias=True
      )
    self.preprocess_conv = nn.Linear(s.latents, s.latents, bias=False)
    self.proj_in = nn.Linear(s.latents, width, bias=False)
    self.input = _linears(s.input, width)
    self.transformer_blocks = nn.ModuleList(Block(s) for _ in range(s.depth))
    self.proj_out = nn.Linear(width, s.latents, bias=False)
    self.postprocess_conv = nn.Linear(s.latents, s.latents, bias=False)

  def forward(
    self,
    noisy: Tensor,
    time: Tensor,
    conditions: Conditions,
    mask: Tensor | None = None,
  ) -> Tensor:
    """Predicts alpha noise - sigma clean.

    Args:
      noisy: [b, t, latents].
      time: [b], 0 (clean) to 1 (noise).
      conditions: sequences are at latent time.
      mask: bool [b, t], which latents are part of the clip; None means all.
        Those that are not are never attended to, and their velocity means
        nothing.

    Returns:
      [b, t, latents].
    """
    if mask is None:
      mask = torch.ones(noisy.shape[:2], dtype=torch.bool, device=noisy.device)
    vector = self.timestep_proj(self.time_proj(time))
    vector = vector + self.global_proj(conditions.vector)
    conditions = dataclasses.replace(
      conditions, tokens=self.cross_attention_proj(conditions.tokens)
    )
    h = self.proj_in(noisy + self.preprocess_conv(noisy))
    for name, layer in self.input.items():
      h = h + layer(conditions.input[name])
    modulation = None
    if self.settings.conditioning == "adaln":
      modulation = self.global_cond_embedder(vector)
    else:
      h = torch.cat([vector[:, None], h], dim=1)
      mask = functional.pad(mask, (1, 0), value=True)
    for block in self.transformer_blocks:
      h = block(h, mask, conditions, modulation)
    y = self.proj_out(h[:, -noisy.shape[1] :])
    return y + self.postprocess_conv(y)
