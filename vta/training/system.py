"""A preset wired up: codec, conditioner and denoiser from one plain config.

Training, evaluation and generation build the same object from the same
dictionary (a section of a config file, or config.json of a release).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Bool, Float, Key

from vta import errors
from vta.conditioning import (
  composed,
  foley,
  frames,
  inputs,
  stable_audio,
  tri_ergon,
)
from vta.conditioning import conditions as conditions_lib
from vta.models import autoencoder, dit
from vta.signals import timing
from vta.training import lora

Params = Mapping[str, Any]

# What the preset `composed` may read text by, and see frames by in the place of
# a small encoder of its own; the first of the texts is `foley`'s.
TEXTS = ("minilm", "t5", "clip")
TOWERS = ("clip",)


def tuples(value: Any) -> Any:
  """Lists, as JSON has them, to tuples, as frozen dataclasses want them."""
  if isinstance(value, Mapping):
    return {key: tuples(item) for key, item in value.items()}
  if isinstance(value, (list, tuple)):
    return tuple(tuples(item) for item in value)
  return value


def codec(config: Mapping[str, Any]) -> autoencoder.Autoencoder:
  """The codec of a config's "codec" section."""
  return autoencoder.Autoencoder(
    autoencoder.AutoencoderConfig(**tuples(config))
  )


@dataclasses.dataclass(frozen=True, kw_only=True)
class System:
  """A preset's modules; a subclass for each says what its inputs are.

  Attributes:
    codec: wave <-> latents.
    conditioner: inputs -> conditions.
    denoiser: noisy latents and conditions -> velocity.
    window: latents of a training crop; longer clips are denoised in windows.
  """

  codec: autoencoder.Autoencoder
  conditioner: nn.Module
  denoiser: dit.DiT
  window: int

  # The entries that can be dropped, in the order of their null flags.
  names: ClassVar[tuple[str, ...]]

  @property
  def latent_rate(self) -> float:
    """Latent frames a second."""
    return timing.SAMPLE_RATE / self.codec.config.hop

  def nothing(self, latents: int) -> inputs.Inputs:
    """Inputs of one clip that ask for nothing."""
    raise NotImplementedError

  def blank(self, latents: int, *, batch: int = 1) -> dict[str, Array]:
    """`nothing` as a batch, to initialise and to trace with."""
    one = self.nothing(latents)
    return {k: jnp.repeat(v[None], batch, axis=0) for k, v in one.items()}

  def init(self, key: Key[Array, ""]) -> dict[str, Any]:
    """Fresh parameters of the conditioner and the denoiser."""
    first, second = jax.random.split(key)
    blank = self.blank(8)
    conditioner = self.conditioner.init(first, blank, blank["asked"])["params"]
    conditions = self.conditioner.apply(
      {"params": conditioner}, blank, blank["asked"]
    )
    latents = jnp.zeros((1, 8, self.codec.config.latents))
    denoiser = self.denoiser.init(second, latents, jnp.zeros(1), conditions)
    return {"conditioner": conditioner, "denoiser": denoiser["params"]}

  def init_codec(self, key: Key[Array, ""]) -> Params:
    """Fresh parameters of the codec."""
    config = self.codec.config
    wave = jnp.zeros((1, config.hop, config.channels))
    return self.codec.init(key, wave, key)["params"]

  def encode(self, params: Params, batch: Mapping[str, Array]):
    """Every entry's features, before anything is dropped."""
    return self.conditioner.apply(
      {"params": params["conditioner"]}, batch, method="encode"
    )

  def select(self, params: Params, features, keep: Bool[Array, "b k"]):
    """Features where kept, nulls elsewhere, as `Conditions`."""
    return self.conditioner.apply(
      {"params": params["conditioner"]}, features, keep, method="select"
    )

  def velocity(
    self,
    params: Params,
    noisy: Float[Array, "b t c"],
    time: Float[Array, "b"],
    conditions: conditions_lib.Conditions,
    *,
    valid: Bool[Array, "b t"],
  ) -> Float[Array, "b t c"]:
    """The denoiser's prediction."""
    # Adapters that lie beside the parameters are heard; usually there are none.
    with lora.applied():
      return self.denoiser.apply(
        {"params": params["denoiser"]}, noisy, time, conditions, mask=valid
      )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Foley(System):
  """`foley`, our own: every control at once.

  Attributes:
    frame_rate: video frames a second that the conditioner sees.
    frame_size: side of those frames in pixels.
    text_width, text_tokens: of the text encoder's features.
  """

  frame_rate: float
  frame_size: int
  text_width: int
  text_tokens: int

  names: ClassVar[tuple[str, ...]] = inputs.NAMES

  @classmethod
  def build(cls, config: Mapping[str, Any]) -> Foley:
    """From the sections "codec", "conditioner", "denoiser" and "clip"."""
    denoiser = dit.DiTConfig(**tuples(config["denoiser"]))
    conditioner = foley.FoleyConfig(
      width=denoiser.condition_width,
      vector_width=config["conditioner"]["vector_width"],
      frames=frames.FrameEncoderConfig(
        **tuples(config["conditioner"]["frames"])
      ),
      latents=denoiser.latents,
    )
    return cls(
      codec=codec(config["codec"]),
      conditioner=foley.Foley(conditioner),
      denoiser=dit.DiT(denoiser),
      **config["clip"],
    )

  def geometry(self, latents: int) -> inputs.Geometry:
    """Sizes of the inputs for a stretch of so many latents."""
    return inputs.geometry(
      latents,
      latent_rate=self.latent_rate,
      frame_rate=self.frame_rate,
      frame_size=self.frame_size,
      text_width=self.text_width,
      text_tokens=self.text_tokens,
      reference_width=2 * self.codec.config.latents,
      tower=self.conditioner.config.frames.tower,
    )

  def nothing(self, latents: int) -> inputs.Inputs:
    """Inputs of one clip that ask for nothing."""
    return inputs.assemble(self.geometry(latents), start=0.0, total=1.0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Composed(Foley):
  """The papers' presets, from a table of what enters where.

  Attributes:
    text_by: the text encoder, one of `TEXTS`.
  """

  text_by: str = TEXTS[0]

  @classmethod
  def build(cls, config: Mapping[str, Any]) -> Composed:
    """From the sections "codec", "conditioner", "denoiser" and "clip".

    Raises:
      InputError: text or frames are by no encoder of ours.
    """
    denoiser = dit.DiTConfig(**tuples(config["denoiser"]))
    sections = tuples(config["conditioner"])
    seen = sections.pop("frames")
    by_tower = "by" in seen
    if by_tower:
      _check_name("conditioner.frames.by", seen["by"], TOWERS)
    _check_name("clip.text_by", config["clip"].get("text_by", TEXTS[0]), TEXTS)
    frames_kind = frames.TowerConfig if by_tower else frames.FrameEncoderConfig
    conditioner = composed.ComposedConfig(
      width=denoiser.condition_width, frames=frames_kind(**seen), **sections
    )
    return cls(
      codec=codec(config["codec"]),
      conditioner=composed.Composed(conditioner),
      denoiser=dit.DiT(denoiser),
      **config["clip"],
    )

  @property
  def frames_by(self) -> str | None:
    """The tower that sees frames and compares them with labels, if any."""
    return getattr(self.conditioner.config.frames, "by", None)

  def geometry(self, latents: int) -> inputs.Geometry:
    """Sizes of the inputs for a stretch of so many latents."""
    made, config = super().geometry(latents), self.conditioner.config
    if self.frames_by is None:
      return made
    seen = "frames" in config.features
    return dataclasses.replace(
      made,
      frame_size=0,
      tower=made.tower if seen else 0,
      whole=seen and config.masked,
      object_width=made.tower,
    )

  def nothing(self, latents: int) -> inputs.Inputs:
    """Inputs of one clip that ask for nothing."""
    return composed.weigh(super().nothing(latents), {})


@dataclasses.dataclass(frozen=True, kw_only=True)
class TriErgon(System):
  """Tri-Ergon: text, audio and video as one vector each, and loudness."""

  names: ClassVar[tuple[str, ...]] = tri_ergon.NAMES

  @classmethod
  def build(cls, config: Mapping[str, Any]) -> TriErgon:
    """From "codec", "conditioner", "denoiser" and "window"."""
    return cls(
      codec=codec(config["codec"]),
      conditioner=tri_ergon.TriErgon(
        tri_ergon.TriErgonConfig(**config["conditioner"])
      ),
      denoiser=dit.DiT(dit.DiTConfig(**tuples(config["denoiser"]))),
      window=config["window"],
    )

  def geometry(self, latents: int) -> tri_ergon.Geometry:
    """Sizes of the inputs for a stretch of so many latents."""
    return tri_ergon.Geometry(
      latents=latents,
      latent_rate=self.latent_rate,
      config=self.conditioner.config,
    )

  def nothing(self, latents: int) -> inputs.Inputs:
    """Inputs of one clip that ask for nothing."""
    return tri_ergon.assemble(self.geometry(latents), start=0.0, total=1.0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class StableAudio(System):
  """Stable Audio Open: a prompt and timing; what public weights load into."""

  names: ClassVar[tuple[str, ...]] = stable_audio.NAMES

  @classmethod
  def build(cls, config: Mapping[str, Any]) -> StableAudio:
    """From "codec", "conditioner", "denoiser" and "window"."""
    return cls(
      codec=codec(config["codec"]),
      conditioner=stable_audio.StableAudio(
        stable_audio.StableAudioConfig(**config["conditioner"])
      ),
      denoiser=dit.DiT(dit.DiTConfig(**tuples(config["denoiser"]))),
      window=config["window"],
    )

  def nothing(self, latents: int) -> inputs.Inputs:
    """Inputs of one clip that ask for nothing."""
    return stable_audio.assemble(
      self.conditioner.config, latents=latents, start=0.0, total=1.0
    )


_PRESETS = {
  "foley": Foley,
  "composed": Composed,
  "tri_ergon": TriErgon,
  "stable_audio": StableAudio,
}


def _check_name(where: str, name: Any, known: tuple) -> None:
  if name not in known:
    names = ", ".join(map(repr, known))
    raise errors.InputError(where, f"{name!r} is none of {names}")


def build(config: Mapping[str, Any]) -> System:
  """The system of a config.

  Raises:
    ValueError: its "preset" is none of ours.
  """
  if config.get("preset") not in _PRESETS:
    raise ValueError(f"preset: {config.get('preset')!r} is none of ours")
  return _PRESETS[config["preset"]].build(config)
