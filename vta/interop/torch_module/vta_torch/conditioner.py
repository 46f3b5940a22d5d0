"""Timing, which all presets have, and the conditioners of two of them.

A conditioner works in two steps: `encode` does what depends on the clip, once;
`select` puts nulls where `keep` says so, cheaply, once for every branch of the
guidance. `NAMES` are the entries that can be dropped, in the order of `keep`'s
columns.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from vta_torch.conditions import Conditions

LONGEST = 512.0  # seconds
_FREQUENCIES = 128


class NumberEmbedder(nn.Module):
  """Seconds [b] to [b, width]: the number, sines and cosines, projected."""

  def __init__(self, width: int):
    super().__init__()
    self.weights = nn.Parameter(torch.randn(_FREQUENCIES))
    self.project = nn.Linear(2 * _FREQUENCIES + 1, width)

  def forward(self, seconds: Tensor) -> Tensor:
    x = seconds.clamp(0.0, LONGEST)[:, None] / LONGEST
    phase = 2 * math.pi * x * self.weights
    return self.project(torch.cat([x, phase.sin(), phase.cos()], dim=-1))


class Timing(nn.Module):
  """(start, total) in seconds [b, 2] to [b, width], half for each."""

  def __init__(self, width: int):
    super().__init__()
    self.start = NumberEmbedder(width // 2)
    self.total = NumberEmbedder(width // 2)

  def forward(self, timing: Tensor) -> Tensor:
    start, total = timing.unbind(dim=1)
    return torch.cat([self.start(start), self.total(total)], dim=-1)


class Conditioner(nn.Module):
  """What all conditioners share."""

  NAMES: tuple[str, ...]

  def forward(self, inputs: Mapping[str, Tensor], keep: Tensor) -> Conditions:
    """`encode`, then `select`."""
    return self.select(self.encode(inputs), keep)


@dataclasses.dataclass(frozen=True, kw_only=True)
class TriErgonSettings:
  """Sizes of `TriErgon`: config.json's "conditioner".

  Attributes:
    width: of the tokens, and of LanguageBind's vectors.
    blocks: of 1/6 s, of the loudness curve.
    aligned: loudness as a sequence at latent time, not as tokens.
  """

  width: int
  blocks: int
  aligned: bool


class TriErgon(Conditioner):
  """Tri-Ergon (arXiv 2412.20378): prompts of three kinds, and loudness.

  Tokens: task, text, audio, video, loudness left and right (unless aligned),
  start, total.
  """

  NAMES = ("prompt", "text", "audio", "video", "loudness")

  def __init__(self, settings: TriErgonSettings):
    super().__init__()
    width = settings.width
    self.settings = settings
    self.task = nn.Parameter(torch.zeros(8, width))
    self.timing = Timing(2 * width)
    if settings.aligned:
      self.loudness_in = nn.Linear(2, width)
      self.loudness_out = nn.Linear(width, width)
    null = (width,) if settings.aligned else (2, width)
    self.null_loudness = nn.Parameter(torch.zeros(null))

  def encode(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Every entry's features, before anything is dropped.

    Args:
      inputs: "text", "audio", "video" [b, width]; "loudness", 0 for -70 and 1
        for 0 LUFS, of left and right at blocks [b, blocks, 2], zero past the
        clip's end, or aligned, at latents [b, t, 2]; "timing" [b, 2], start
        and total in seconds.

    Raises:
      ValueError: the curve has another number of blocks than the settings.
    """
    curve = inputs["loudness"]
    if self.settings.aligned:
      hidden = functional.silu(self.loudness_in(2.0 * curve - 1.0))
      loudness = self.loudness_out(hidden)
    elif curve.shape[1] != self.settings.blocks:
      raise ValueError(
        f"a curve of {curve.shape[1]} blocks, not {self.settings.blocks}"
      )
    else:
      loudness = functional.interpolate(
        curve.transpose(1, 2),
        size=self.settings.width,
        mode="linear",
        align_corners=True,
      )
    return {
      **{name: inputs[name] for name in ("text", "audio", "video")},
      "loudness": loudness,
      "timing": self.timing(inputs["timing"]),
    }

  def select(self, features: Mapping[str, Tensor], keep: Tensor) -> Conditions:
    """Features where `keep`, bool [b, 5], says so, nulls elsewhere."""
    prompt, *modalities, loud = keep.unbind(dim=1)
    weights = torch.tensor([4, 2, 1], device=keep.device)
    task = self.task[(keep[:, 1:4] * weights).sum(dim=1)]
    vectors = [
      torch.where(kept[:, None], features[name], 0.0)
      for name, kept in zip(("text", "audio", "video"), modalities, strict=True)
    ]
    loudness = torch.where(
      loud[:, None, None], features["loudness"], self.null_loudness
    )
    aligned = self.settings.aligned
    curves = [] if aligned else loudness.unbind(dim=1)
    timing = features["timing"].chunk(2, dim=-1)
    tokens = torch.stack([task, *vectors, *curves, *timing], dim=1)
    tokens = torch.where(prompt[:, None, None], tokens, 0.0)
    return Conditions(
      tokens=tokens,
      mask=torch.ones(tokens.shape[:2], dtype=torch.bool, device=keep.device),
      input={"loudness": loudness} if aligned else {},
      block={},
      vector=features["timing"],
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class StableAudioSettings:
  """Sizes of `StableAudio`: config.json's "conditioner".

  Attributes:
    width: of the denoiser's tokens.
    text_width: of the text encoder's; if it is another, they are projected.
  """

  width: int
  text_width: int


class StableAudio(Conditioner):
  """Stable Audio Open: a prompt, start and total."""

  NAMES = ("text",)

  def __init__(self, settings: StableAudioSettings):
    super().__init__()
    self.timing = Timing(2 * settings.width)
    self.text_projection = nn.Identity()
    if settings.text_width != settings.width:
      self.text_projection = nn.Linear(settings.text_width, settings.width)

  def encode(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Every entry's features, before anything is dropped.

    Args:
      inputs: "text_tokens" [b, n, text_width], "text_mask" bool [b, n],
        "timing" [b, 2], start and total in seconds.
    """
    tokens = self.text_projection(inputs["text_tokens"])
    return {
      "text": torch.where(inputs["text_mask"][..., None], tokens, 0.0),
      "timing": self.timing(inputs["timing"]),
    }

  def select(self, features: Mapping[str, Tensor], keep: Tensor) -> Conditions:
    """Tokens where `keep`, bool [b, 1], says so, zeros elsewhere."""
    timing = features["timing"][:, None].chunk(2, dim=-1)
    tokens = torch.cat([features["text"], *timing], dim=1)
    tokens = torch.where(keep[..., None], tokens, 0.0)
    return Conditions(
      tokens=tokens,
      mask=torch.ones(tokens.shape[:2], dtype=torch.bool, device=keep.device),
      input={},
      block={},
      vector=features["timing"],
    )
