"""Stable Audio Open's conditioning: a prompt, and where a clip starts and ends.

What public weights were trained with (papers.md 3.6): the prompt's tokens and
one token each for start and total go to cross-attention, start and total side
by side to the vector. All tokens are attended to, those past the prompt's end
as zeros. Without a condition all tokens are zero; the vector stays.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Bool, Float

from vta.conditioning import conditions, timing


@dataclasses.dataclass(frozen=True, kw_only=True)
class StableAudioConfig:
  """Sizes of the conditioner.

  Attributes:
    width: of the denoiser's tokens; the vector has twice as much.
    text_width: of the text encoder's tokens; if it is another, they are
      projected.
  """

  width: int = 768
  text_width: int = 768


class StableAudio(nn.Module):
  """Inputs to `Conditions`, in two steps as `vta.conditioning.foley.Foley`."""

  config: StableAudioConfig

  def setup(self) -> None:
    config = self.config
    self.timing = timing.Timing(2 * config.width)
    if config.text_width != config.width:
      self.text_projection = nn.Dense(config.width)

  def encode(
    self, inputs: Mapping[str, Array]
  ) -> Mapping[str, Float[Array, "b ..."]]:
    """The prompt's tokens, zero past its end, and the timing vector."""
    tokens = inputs["text_tokens"]
    if self.config.text_width != self.config.width:
      tokens = self.text_projection(tokens)
    return {
      "text": jnp.where(inputs["text_mask"][..., None], tokens, 0.0),
      "timing": self.timing(inputs["timing"]),
    }

  def select(
    self, features: Mapping[str, Array], keep: Bool[Array, "b 1"]
  ) -> conditions.Conditions:
    """Tokens where kept, zeros elsewhere."""
    start, total = jnp.split(features["timing"][:, None], 2, axis=-1)
    tokens = jnp.concatenate([features["text"], start, total], axis=1)
    tokens = jnp.where(keep[..., None], tokens, 0.0)
    mask = jnp.ones(tokens.shape[:2], bool)
    return conditions.Conditions(
      streams={"prompt": conditions.Stream(tokens=tokens, mask=mask)},
      vector=features["timing"],
    )

  def __call__(
    self, inputs: Mapping[str, Array], keep: Bool[Array, "b 1"]
  ) -> conditions.Conditions:
    return self.select(self.encode(inputs), keep)
