"""The conditioners of the `foley` preset: every control at once (ours).

  frames      input   what is seen, on latent time: sync, pan, material
  loudness    input   LUFS left and right
  events      input   what part of each latent sounds, where events begin
  objects     block   label vectors weighted by probability (VTA-SAM's O)
  text        stream  the sentence encoder's tokens
  reference   stream  one token that describes a recording
  timing      vector  start and total

Frame-aligned conditions act where time is, not through cross-attention, which
would have to learn it (papers.md 9.4). Each entry has a learned null: a zero
loudness curve would ask for silence.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Bool, Float

from vta.conditioning import conditions, timing
from vta.conditioning import frames as frames_lib
from vta.conditioning import inputs as inputs_lib

# Entry name -> features before anything is dropped.
Features = Mapping[str, Array]


@dataclasses.dataclass(frozen=True, kw_only=True)
class FoleyConfig:
  """Sizes of the `foley` conditioners.

  Attributes:
    width: width of stream tokens and of the sequences at latent time.
    vector_width: width of the timing vector.
    frames: the frame encoder.
  """

  width: int
  vector_width: int
  frames: frames_lib.FrameEncoderConfig


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
    self.reference_in = nn.Dense(width)
    self.reference_out = nn.Dense(width)
    self.timing = timing.Timing(self.config.vector_width)
    null = nn.initializers.normal(0.02)
    self.nulls = {
      name: self.param(f"null_{name}", null, (size,))
      for name, size in self._null_sizes().items()
    }

  def _null_sizes(self) -> Mapping[str, int]:
    sizes = dict.fromkeys(inputs_lib.NAMES, self.config.width)
    return {**sizes, "frames": self.config.frames.features}

  def encode(self, inputs: Mapping[str, Array]) -> Features:
    """Features of every entry; what was not asked for gives unused numbers."""
    pictures = self.frame_encoder(
      inputs["frames"], inputs["mask"], inputs.get("frame_features")
    )
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

    def or_null(name: str, values: Float[Array, "b t d"]):
      null = self.nulls[name][None, None]
      return jnp.where(kept[name][:, None, None], values, null)

    text = or_null("text", features["text"])
    # A dropped prompt is one null token: attention needs something to look at.
    first = jnp.arange(text.shape[1])[None] == 0
    text_mask = jnp.where(kept["text"][:, None], features["text_mask"], first)
    reference = or_null("reference", features["reference"][:, None])
    return conditions.Conditions(
      streams={
        "text": conditions.Stream(tokens=text, mask=text_mask),
        "reference": conditions.Stream(
          tokens=reference, mask=jnp.ones(reference.shape[:2], bool)
        ),
      },
      input={
        name: or_null(name, features[name])
        for name in ("frames", "loudness", "events")
      },
      block={"objects": or_null("objects", features["objects"])},
      vector=features["timing"],
    )

  def __call__(
    self, inputs: Mapping[str, Array], keep: Bool[Array, "b 6"]
  ) -> conditions.Conditions:
    return self.select(self.encode(inputs), keep)
