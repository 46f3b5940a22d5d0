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
import numpy as np
from flax import linen as nn
from jaxtyping import Array, Bool, Float

from vta.conditioning import conditions, timing

NAMES = ("text",)  # the entries, in the order of their null flags
TOKENS = 128  # of every prompt, padding included


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


def assemble(
  config: StableAudioConfig,
  *,
  latents: int,
  start: float,
  total: float,
  tokens: Float[np.ndarray, "s d"] | None = None,
  mask: Bool[np.ndarray, "s"] | None = None,
) -> dict[str, np.ndarray]:
  """Inputs for the stretch of a clip that begins at `start` seconds.

  Args:
    config: the conditioner's sizes.
    latents: latent frames; all are denoised and attended to, those past the
      clip's end too: `total` tells where it ends, as these weights learned it.
    start, total: the stretch's beginning and the clip's duration, seconds.
    tokens: the prompt's, `TOKENS` of them.
    mask: which of them are real.

  Returns:
    name -> array without a batch axis; `asked` is bool in the order of `NAMES`.
  """
  asked = tokens is not None
  if not asked:
    tokens = np.zeros((TOKENS, config.text_width), np.float32)
    mask = np.zeros(TOKENS, bool)
  return {
    "text_tokens": np.asarray(tokens, np.float32),
    "text_mask": mask,
    "timing": np.array([start, total], np.float32),
    "valid": np.ones(latents, bool),
    "asked": np.array([asked]),
  }
