"""Tri-Ergon's conditioning: any of text, audio and video, loudness, timing.

Tri-Ergon (arXiv 2412.20378; papers.md 3.1). The paper's: one pooled vector of
LanguageBind per modality, each dropped on its own and all of them together; an
embedding of which are there, the task; a token per channel that holds the LUFS
curve itself; start and total. With M = 1 that is eight tokens for
cross-attention:

  task, text, audio, video, loudness left, loudness right, start, total

Ours, where the paper is silent: task = 4 text + 2 audio + video; a modality
that is absent is zero; loudness has a learned null, since a curve of zeros
would ask for silence; start and total go to the vector besides, which is how
Stable Audio's weights read them. Without any condition all tokens are zero and
the vector stays, as there.

`aligned` puts loudness where time is instead: a sequence at latent time, added
after the input projection (papers.md 9.4), and no tokens for it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Array, Bool, Float

from vta.conditioning import conditions, timing
from vta.signals import loudness as loudness_lib
from vta.signals import timing as timing_lib

# The entries, in the order of their null flags; "prompt" is all of the tokens.
NAMES = ("prompt", "text", "audio", "video", "loudness")
# Loudness blocks of 1/6 s that a token's curve is padded to: 60 s.
BLOCKS = 360


@dataclasses.dataclass(frozen=True, kw_only=True)
class TriErgonConfig:
  """Sizes of the conditioner.

  Attributes:
    width: of the tokens, and of LanguageBind's vectors.
    blocks: of the loudness curve; 60 for a model of 10 s.
    aligned: loudness as a sequence at latent time, not as tokens.
  """

  width: int = 768
  blocks: int = BLOCKS
  aligned: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class Geometry:
  """The fixed sizes that inputs are padded to.

  Attributes:
    latents: latent frames.
    latent_rate: latent frames a second (44100 / 2048).
    config: the conditioner's sizes.
  """

  latents: int
  latent_rate: float
  config: TriErgonConfig


class TriErgon(nn.Module):
  """Inputs to `Conditions`, in two steps as `vta.conditioning.foley.Foley`."""

  config: TriErgonConfig

  def setup(self) -> None:
    width = self.config.width
    normal = nn.initializers.normal(0.02)
    self.task = self.param("task", normal, (8, width))
    self.timing = timing.Timing(2 * width)
    if self.config.aligned:
      self.loudness_in = nn.Dense(width)
      self.loudness_out = nn.Dense(width)
      self.null_loudness = self.param("null_loudness", normal, (width,))
    else:
      self.null_loudness = self.param("null_loudness", normal, (2, width))

  def encode(
    self, inputs: Mapping[str, Array]
  ) -> Mapping[str, Float[Array, "b ..."]]:
    """Every entry's features, before anything is dropped.

    Args:
      inputs: "text", "audio", "video" [b, width]; "loudness", 0 for -70 and 1
        for 0 LUFS, at blocks [b, blocks, 2], zero past the clip's end, or
        aligned, at latents [b, t, 2]; "timing" [b, 2], start and total in
        seconds.
    """
    curve = inputs["loudness"]
    if self.config.aligned:
      loudness = self.loudness_out(nn.silu(self.loudness_in(2.0 * curve - 1.0)))
    else:
      loudness = stretch(curve, self.config.width)
    return {
      **{name: inputs[name] for name in ("text", "audio", "video")},
      "loudness": loudness,
      "timing": self.timing(inputs["timing"]),
    }

  def select(
    self, features: Mapping[str, Array], keep: Bool[Array, "b 5"]
  ) -> conditions.Conditions:
    """Features where kept, nulls elsewhere.

    Args:
      features: what `encode` returned.
      keep: per clip and entry, in the order of `NAMES`.
    """
    kept = {name: keep[:, i, None] for i, name in enumerate(NAMES)}
    task = jnp.sum(keep[:, 1:4] * jnp.array([4, 2, 1]), axis=1)
    prompts = [
      jnp.where(kept[name], features[name], 0.0)
      for name in ("text", "audio", "video")
    ]
    loudness = jnp.where(
      kept["loudness"][..., None], features["loudness"], self.null_loudness
    )
    curves = [] if self.config.aligned else [loudness[:, 0], loudness[:, 1]]
    start_and_total = jnp.split(features["timing"], 2, axis=-1)
    tokens = [self.task[task], *prompts, *curves, *start_and_total]
    tokens = jnp.stack(tokens, axis=1)
    tokens = jnp.where(kept["prompt"][..., None], tokens, 0.0)
    mask = jnp.ones(tokens.shape[:2], bool)
    return conditions.Conditions(
      streams={"prompt": conditions.Stream(tokens=tokens, mask=mask)},
      input={"loudness": loudness} if self.config.aligned else {},
      vector=features["timing"],
    )

  def __call__(
    self, inputs: Mapping[str, Array], keep: Bool[Array, "b 5"]
  ) -> conditions.Conditions:
    return self.select(self.encode(inputs), keep)


def assemble(
  geometry: Geometry,
  *,
  start: float,
  total: float,
  text: Float[np.ndarray, "d"] | None = None,
  audio: Float[np.ndarray, "d"] | None = None,
  video: Float[np.ndarray, "d"] | None = None,
  loudness: loudness_lib.Loudness | None = None,
) -> dict[str, np.ndarray]:
  """Inputs for the stretch of a clip that begins at `start` seconds.

  Args:
    geometry: sizes to pad to.
    start: where the first latent begins on the clip's time axis, seconds.
    total: the clip's whole duration, seconds.
    text, audio, video: LanguageBind's vector of each.
    loudness: the curve that is asked for.

  Returns:
    name -> array without a batch axis; `asked` is bool in the order of `NAMES`,
    the prompt as soon as there is anything in it.
  """
  config = geometry.config
  times = start + timing_lib.centres(geometry.latents, geometry.latent_rate)
  valid = times < total + 0.5 / geometry.latent_rate
  at = times
  if not config.aligned:
    at = start + timing_lib.centres(config.blocks, 1.0 / loudness_lib.BLOCK)
  curve = np.zeros((len(at), 2), np.float32)
  if loudness is not None:
    curve[:] = loudness_lib.unit(loudness.resample(at).lufs)
    curve[at >= total] = 0.0
  given = {"text": text, "audio": audio, "video": video}
  present = [vector is not None for vector in given.values()]
  present.append(loudness is not None)
  return {
    **{
      name: np.zeros(config.width, np.float32)
      if vector is None
      else np.asarray(vector, np.float32)
      for name, vector in given.items()
    },
    "loudness": curve,
    "timing": np.array([start, total], np.float32),
    "valid": valid,
    "asked": np.array([any(present), *present]),
  }


def stretch(
  curve: Float[Array, "b k 2"], width: int
) -> Float[Array, "b 2 width"]:
  """A curve per channel, linearly interpolated to a token's width.

  Both ends are kept, so that 360 values and 768 span the same 60 s.
  """
  channels = jnp.swapaxes(curve, 1, 2)
  count = channels.shape[-1]
  at = np.linspace(0.0, count - 1.0, width)
  left = np.minimum(at.astype(int), count - 2)
  fraction = jnp.asarray(at - left, channels.dtype)
  before, after = channels[..., left], channels[..., left + 1]
  return before + fraction * (after - before)


def draw_keep(
  key: Array, count: int, *, drop: float = 0.3, drop_all: float = 0.1
) -> Bool[Array, "b 5"]:
  """Unbalanced multi-modal prompting (papers.md 3.1).

  Text, audio, video and, which is ours, loudness are each dropped with
  probability `drop`, and the whole prompt with `drop_all`.
  """
  one, two = jax.random.split(key)
  keep = jax.random.uniform(one, (count, len(NAMES))) >= drop
  whole = jax.random.uniform(two, (count,)) >= drop_all
  return keep.at[:, 0].set(whole)
