"""The papers' conditioners, composed: what there is, and where it enters.

Each of the five papers gives a denoiser some features of a clip at some places.
Here a preset is that table:

  Draw an Audio   text concat, frames (whole and masked) layer, loudness input
  SonicVisionLM   text concat, events control
  VTA-SAM         frames concat, objects block: Z@V + O; its other fusions are
                  other rows (papers.md 4.1)
  Smooth-Foley    text concat, frames decoupled, events control

A table grows by adding to it: what a base was trained without starts at zero
in the denoiser, so that a base with new entries is the base (papers.md 7.1).
What frames and words are encoded by is not this module's to know: it takes a
tower's features, or pixels by the small encoder of `frames`.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Literal

import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Array, Bool, Float

from vta.conditioning import conditions, timing
from vta.conditioning import frames as frames_lib
from vta.conditioning import inputs as inputs_lib

# Where each feature may enter; "vector" is ours, for small models, which hardly
# look at one token among others.
PLACES: Mapping[str, tuple[str, ...]] = {
  "text": ("concat", "vector"),
  "frames": ("concat", "decoupled", "layer", "input", "block"),
  "objects": ("concat", "block"),
  "loudness": ("input",),
  "events": ("control",),
}
# Features whose weight a person may choose when sampling.
STRENGTHS = ("frames", "events")
_SLOWEST = 60.0  # s, the longest period of the positions

Features = Mapping[str, Array]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ComposedConfig:
  """What is composed.

  Attributes:
    width: of stream tokens and of the sequences at latent time.
    vector_width: of each of the vector's parts: timing, text.
    places: (feature, place) pairs, in any order.
    frames: the frame encoder, or the tower in its place.
    masked: whether frames are seen twice, whole and under the mask, by one
      encoder (Draw an Audio); otherwise under the mask alone.
    positions: whether the tokens of frames tell when they are.
    clip_wise: whether the tokens of frames are one, their mean: FoleyCrafter's
      form, which Smooth-Foley compares with.
    projector: what makes tokens of features of frames: "mlp" is Draw an
      Audio's (papers.md 1.3), "linear" VTA-SAM's, "norm" with a norm behind it
      Smooth-Foley's, one token a frame (papers.md 5.3).
  """

  width: int
  vector_width: int
  places: tuple[tuple[str, str], ...]
  frames: frames_lib.FrameEncoderConfig | frames_lib.TowerConfig
  masked: bool = False
  positions: bool = True
  clip_wise: bool = False
  projector: Literal["mlp", "linear", "norm"] = "mlp"

  def __post_init__(self):
    for feature, place in self.places:
      if place not in PLACES.get(feature, ()):
        raise ValueError(f"{feature} has no place {place!r}")
    if not self.at("concat"):
      raise ValueError("cross-attention needs a feature at concat")
    if self.projector not in ("mlp", "linear", "norm"):
      raise ValueError(f"there is no projector {self.projector!r}")

  @property
  def features(self) -> tuple[str, ...]:
    """Every feature that there is."""
    return tuple(sorted({feature for feature, _ in self.places}))

  @property
  def weighed(self) -> tuple[str, ...]:
    """The features that a strength has an effect on."""
    scaled = ("decoupled", "layer", "control")
    found = {f for f, p in self.places if f in STRENGTHS and p in scaled}
    return tuple(sorted(found))

  def at(self, place: str) -> tuple[str, ...]:
    """The features at a place."""
    return tuple(sorted(f for f, p in self.places if p == place))


def weigh(
  inputs: inputs_lib.Inputs, chosen: Mapping[str, float]
) -> inputs_lib.Inputs:
  """Inputs of a clip with weights of `STRENGTHS`; 1 where none is chosen."""
  values = [chosen.get(name, 1.0) for name in STRENGTHS]
  return {**inputs, "strengths": np.array(values, np.float32)}


class SignalEncoder(nn.Module):
  """Draw an Audio's, of a loudness curve: two convolutions over time.

  Its curve is RMS at 10 Hz, smoothed; ours is what a person draws here, LUFS of
  both channels at latent time (papers.md 1.3).
  """

  @nn.compact
  def __call__(self, curve: Float[Array, "b t 2"]) -> Float[Array, "b t d"]:
    x = nn.silu(nn.Conv(64, (3,), name="first")(2.0 * curve - 1.0))
    return nn.silu(nn.Conv(128, (3,), name="second")(x))


class Composed(nn.Module):
  """Inputs to `Conditions` in two steps, as `foley.Foley`."""

  config: ComposedConfig

  def setup(self) -> None:
    c = self.config
    null, sizes = nn.initializers.normal(0.02), {}
    self.timing = timing.Timing(c.vector_width)
    if "text" in c.features:
      self.text_in = nn.Dense(c.width)
      sizes["text"] = c.width
    if "text" in c.at("vector"):
      self.summary_in = nn.Dense(c.vector_width)
      sizes["summary"] = c.vector_width
    if "frames" in c.features:
      if isinstance(c.frames, frames_lib.FrameEncoderConfig):
        self.frame_encoder = frames_lib.FrameEncoder(c.frames)
      self.frames_in = nn.Dense(c.width)
      if c.projector == "mlp":
        self.frames_out = nn.Dense(c.width)
      if c.projector == "norm":
        self.frames_norm = nn.LayerNorm(epsilon=1e-5)
      sizes["frames"] = c.width
    if "objects" in c.features:
      self.objects_in = nn.Dense(c.width)
      sizes["objects"] = c.width
    if "loudness" in c.features:
      self.signal_encoder = SignalEncoder()
      sizes["loudness"] = 128
    self.nulls = {
      name: self.param(f"null_{name}", null, (size,))
      for name, size in sizes.items()
    }

  def encode(self, inputs: Mapping[str, Array]) -> Features:
    """Features of every entry; what was not asked for gives unused numbers."""
    c = self.config
    made = {
      "timing": self.timing(inputs["timing"]),
      "valid": inputs["valid"],
      "strengths": inputs["strengths"],
      # +-1, as Smooth-Foley's map; onsets are not told (papers.md 7.1).
      "events": 2.0 * inputs["events"][..., :1] - 1.0,
    }
    if "text" in c.features:
      made["text"] = self.text_in(inputs["text_tokens"])
      made["text_mask"] = inputs["text_mask"]
    if "text" in c.at("vector"):
      words = inputs["text_tokens"] * inputs["text_mask"][..., None]
      count = jnp.sum(inputs["text_mask"], axis=1, keepdims=True)
      made["summary"] = self.summary_in(
        jnp.sum(words, axis=1) / jnp.maximum(count, 1)
      )
    if "objects" in c.features:
      made["objects"] = self.objects_in(inputs["objects"])
    if "loudness" in c.features:
      made["loudness"] = self.signal_encoder(inputs["loudness"])
    if "frames" in c.features:
      tokens = self.frames_in(self._seen(inputs))
      if c.projector == "mlp":
        tokens = self.frames_out(nn.gelu(tokens))
      if c.projector == "norm":
        tokens = self.frames_norm(tokens)
      if {"input", "block"} & {p for f, p in c.places if f == "frames"}:
        made["frames_aligned"] = frames_lib.at_latents(
          tokens, inputs["frame_left"], inputs["frame_fraction"]
        )
      if c.clip_wise:
        tokens = jnp.mean(tokens, axis=1, keepdims=True)
      elif c.positions:
        tokens = tokens + _positions(inputs["frame_times"], c.width)
      made["frames"] = tokens
    return made

  def _seen(self, inputs) -> Float[Array, "b f d"]:
    """Frames under the mask, or whole and under it, side by side."""
    if "pictures" in inputs:  # the frozen encoder has seen them before
      return inputs["pictures"]
    if isinstance(self.config.frames, frames_lib.TowerConfig):
      names = ["whole_features"] * self.config.masked + ["frame_features"]
      return jnp.concatenate([inputs[name] for name in names], axis=-1)
    tower = inputs.get("frame_features")
    masked = self.frame_encoder(inputs["frames"], inputs["mask"], tower)
    if not self.config.masked:
      return masked
    everything = jnp.full_like(inputs["mask"], 255)
    whole = self.frame_encoder(inputs["frames"], everything, tower)
    return jnp.concatenate([whole, masked], axis=-1)

  def select(
    self, features: Features, keep: Bool[Array, "b 6"]
  ) -> conditions.Conditions:
    """Features where kept, learned nulls elsewhere; no events, no control.

    Args:
      features: what `encode` returned.
      keep: per clip and entry, in the order of `inputs.NAMES`.
    """
    c = self.config
    kept = {name: keep[:, i] for i, name in enumerate(inputs_lib.NAMES)}
    strength = dict(zip(STRENGTHS, features["strengths"].T, strict=True))

    def or_null(name: str, values: Float[Array, "b *t d"], of: str):
      here = kept[of].reshape(-1, *[1] * (values.ndim - 1))
      return jnp.where(here, values, self.nulls[name])

    def sequence(name):
      aligned = features.get(f"{name}_aligned", features.get(name))
      return or_null(name, aligned, name)

    def stream(name, mode):
      tokens = or_null(name, features[name], name)
      first = jnp.arange(tokens.shape[1])[None] == 0
      given = {"text": "text_mask", "objects": "valid"}.get(name)
      mask = jnp.ones_like(first) if given is None else features[given]
      # Of what was dropped one null token: attention needs something to see.
      mask = jnp.where(kept[name][:, None], mask, first)
      scale = None if mode == "concat" else strength[name]
      return conditions.Stream(tokens=tokens, mask=mask, mode=mode, scale=scale)

    vector = [nn.standardize(features["timing"])]
    if "text" in c.at("vector"):
      summary = or_null("summary", features["summary"], "text")
      vector.append(nn.standardize(summary))
    return conditions.Conditions(
      streams={
        name: stream(name, mode)
        for mode in ("concat", "decoupled", "layer")
        for name in c.at(mode)
      },
      input={name: sequence(name) for name in c.at("input")},
      block={name: sequence(name) for name in c.at("block")},
      control={
        name: conditions.Control(
          hint=features[name], scale=kept[name] * strength[name]
        )
        for name in c.at("control")
      },
      vector=jnp.concatenate(vector, axis=-1),
    )

  def __call__(
    self, inputs: Mapping[str, Array], keep: Bool[Array, "b 6"]
  ) -> conditions.Conditions:
    return self.select(self.encode(inputs), keep)


def _positions(
  seconds: Float[Array, "b f"], width: int
) -> Float[Array, "b f d"]:
  """Sines and cosines of time, from `_SLOWEST` to a tenth of a second."""
  count = width // 2
  periods = jnp.geomspace(0.1, _SLOWEST, count)
  angles = 2 * math.pi * seconds[..., None] / periods[None, None]
  return jnp.concatenate([jnp.sin(angles), jnp.cos(angles)], axis=-1)
