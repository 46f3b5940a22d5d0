"""The conditioners of the `foley` preset: every control at once (ours).

  frames      input   what is seen, on latent time: sync, pan, material
  loudness    input   LUFS left and right
  events      input   what part of each latent sounds, where events begin
  objects     block   label vectors weighted by probability (VTA-SAM's O)
  text        stream  the sentence encoder's tokens
              vector  their mean
  reference   vector  what describes a recording
  timing      vector  start and total
  expected    input   the latents that all of these let one expect

Frame-aligned conditions act where time is, not through cross-attention, which
would have to learn it (papers.md 9.4). For the same reason what is true of the
whole clip is part of its vector: one token among others was hardly looked at
after 10,000 steps. Each entry has a learned null: a zero loudness curve would
ask for silence.

What a prompt or a recording says of timbre is hardly learned through noise
either: most noisy latents tell it already. So the conditions have to say on
their own what they let one expect, as Grad-TTS's encoder does (Popov et al.
2105.06337, equation 14), and the denoiser reads it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Bool, Float

from vta.conditioning import conditions, depthwise, timing
from vta.conditioning import frames as frames_lib
from vta.conditioning import inputs as inputs_lib

# Entry name -> features before anything is dropped.
Features = Mapping[str, Array]


@dataclasses.dataclass(frozen=True, kw_only=True)
class FoleyConfig:
  """Sizes of the `foley` conditioners.

  Attributes:
    width: width of stream tokens and of the sequences at latent time.
    vector_width: width of each of the vector's parts: timing, text, reference.
    frames: the frame encoder.
    latents: channels of the codec's latents.
  """

  width: int
  vector_width: int
  frames: frames_lib.FrameEncoderConfig
  latents: int


class Expected(nn.Module):
  """Conditions at latent time, and those of the clip, to the mean latents."""

  width: int
  latents: int

  @nn.compact
  def __call__(
    self, sequence: Float[Array, "b t d"], vector: Float[Array, "b v"]
  ) -> Float[Array, "b t c"]:
    x = nn.Dense(self.width, name="sequence")(sequence)
    x = nn.silu(x + nn.Dense(self.width, name="vector")(vector)[:, None])
    # What sounds now may have begun before: a third of a second each way.
    y = depthwise.Depthwise(15, name="near")(x)
    x = x + nn.silu(nn.Dense(self.width, name="hidden")(y))
    return nn.Dense(self.latents, name="out")(x)


class Foley(nn.Module):
  """Inputs to `Conditions`, in two steps.

  `encode` does the work that depends on the clip, once; `select` puts nulls
  where `keep` says so, cheaply, once for every branch of the guidance.
  """

  config: FoleyConfig

  def setup(self) -> None:
    width = self.config.width
    self.frame_encoder = frames_lib.FrameEncoder(self.config.frames)
    self.loudness_in = nn.Dense(width)
    self.loudness_out = nn.Dense(width)
    self.events_in = nn.Dense(width)
    self.objects_in = nn.Dense(width)
    self.text_in = nn.Dense(width)
    self.summary_in = nn.Dense(self.config.vector_width)
    self.reference_in = nn.Dense(width)
    self.reference_out = nn.Dense(self.config.vector_width)
    self.timing = timing.Timing(self.config.vector_width)
    self.expected = Expected(width, self.config.latents)
    null = nn.initializers.normal(0.02)
    self.nulls = {
      name: self.param(f"null_{name}", null, (size,))
      for name, size in self._null_sizes().items()
    }

  def _null_sizes(self) -> Mapping[str, int]:
    sizes = dict.fromkeys(inputs_lib.NAMES, self.config.width)
    vector = self.config.vector_width
    return {
      **sizes,
      "frames": self.config.frames.features,
      "reference": vector,
      "summary": vector,
    }

  def encode(self, inputs: Mapping[str, Array]) -> Features:
    """Features of every entry; what was not asked for gives unused numbers."""
    if "pictures" in inputs:  # the frozen encoder has seen them before
      pictures = inputs["pictures"]
    else:
      pictures = self.frame_encoder(
        inputs["frames"], inputs["mask"], inputs.get("frame_features")
      )
    words = inputs["text_tokens"] * inputs["text_mask"][..., None]
    count = jnp.sum(inputs["text_mask"], axis=1, keepdims=True)
    return {
      "frames": frames_lib.at_latents(
        pictures, inputs["frame_left"], inputs["frame_fraction"]
      ),
      "loudness": self.loudness_out(
        nn.silu(self.loudness_in(2.0 * inputs["loudness"] - 1.0))
      ),
      "events": self.events_in(inputs["events"]),
      "objects": self.objects_in(inputs["objects"]),
      "text": self.text_in(inputs["text_tokens"]),
      "text_mask": inputs["text_mask"],
      "summary": self.summary_in(
        jnp.sum(words, axis=1) / jnp.maximum(count, 1)
      ),
      "reference": self.reference_out(
        nn.silu(self.reference_in(inputs["reference"]))
      ),
      "timing": self.timing(inputs["timing"]),
    }

  def select(
    self, features: Features, keep: Bool[Array, "b 6"]
  ) -> conditions.Conditions:
    """Features where kept, learned nulls elsewhere.

    Args:
      features: what `encode` returned.
      keep: per clip and entry, in the order of `inputs.NAMES`.
    """
    kept = {name: keep[:, i] for i, name in enumerate(inputs_lib.NAMES)}
    kept["summary"] = kept["text"]

    def or_null(name: str, values: Float[Array, "b *t d"]):
      kept_of = kept[name].reshape(-1, *[1] * (values.ndim - 1))
      return jnp.where(kept_of, values, self.nulls[name])

    text = or_null("text", features["text"])
    # A dropped prompt is one null token: attention needs something to look at.
    first = jnp.arange(text.shape[1])[None] == 0
    text_mask = jnp.where(kept["text"][:, None], features["text_mask"], first)
    # Of one size each. Start and total hardly differ from clip to clip; left to
    # themselves they grew, pushed every unit behind them below zero, and the
    # denoiser heard nothing of the vector any more.
    vector = [
      nn.standardize(part)
      for part in (
        features["timing"],
        or_null("summary", features["summary"]),
        or_null("reference", features["reference"]),
      )
    ]
    aligned = {
      name: or_null(name, features[name])
      for name in ("frames", "loudness", "events", "objects")
    }
    expected = self.expected(
      jnp.concatenate([*aligned.values()], axis=-1),
      jnp.concatenate(vector[1:], axis=-1),
    )
    objects = aligned.pop("objects")
    return conditions.Conditions(
      streams={"text": conditions.Stream(tokens=text, mask=text_mask)},
      input={**aligned, "expected": expected},
      block={"objects": objects},
      vector=jnp.concatenate(vector, axis=-1),
    )

  def __call__(
    self, inputs: Mapping[str, Array], keep: Bool[Array, "b 6"]
  ) -> conditions.Conditions:
    return self.select(self.encode(inputs), keep)
