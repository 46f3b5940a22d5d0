"""A preset wired up: codec, conditioner and denoiser from one plain config.

Training, evaluation and generation build the same object from the same
dictionary (a section of a config file, or config.json of a release).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key

from vta.conditioning import conditions as conditions_lib
from vta.conditioning import foley, frames, inputs
from vta.models import autoencoder, dit
from vta.signals import timing

Params = Mapping[str, Any]


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
  """The `foley` preset's modules and the clocks they run by.

  Attributes:
    codec: wave <-> latents.
    conditioner: inputs -> conditions.
    denoiser: noisy latents and conditions -> velocity.
    frame_rate: video frames a second that the conditioner sees.
    frame_size: side of those frames in pixels.
    text_width, text_tokens: of the text encoder's features.
    window: latents of a training crop; longer clips are denoised in windows.
  """

  codec: autoencoder.Autoencoder
  conditioner: foley.Foley
  denoiser: dit.DiT
  frame_rate: float
  frame_size: int
  text_width: int
  text_tokens: int
  window: int

  @classmethod
  def build(cls, config: Mapping[str, Any]) -> System:
    """From the sections "codec", "conditioner", "denoiser" and "clip"."""
    denoiser = dit.DiTConfig(**tuples(config["denoiser"]))
    conditioner = foley.FoleyConfig(
      width=denoiser.condition_width,
      vector_width=config["conditioner"]["vector_width"],
      frames=frames.FrameEncoderConfig(
        **tuples(config["conditioner"]["frames"])
      ),
    )
    return cls(
      codec=codec(config["codec"]),
      conditioner=foley.Foley(conditioner),
      denoiser=dit.DiT(denoiser),
      **config["clip"],
    )

  @property
  def latent_rate(self) -> float:
    """Latent frames a second."""
    return timing.SAMPLE_RATE / self.codec.config.hop

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

  def blank(self, latents: int, *, batch: int = 1) -> dict[str, Array]:
    """Inputs that ask for nothing, to initialise and to trace with."""
    one = inputs.assemble(self.geometry(latents), start=0.0, total=1.0)
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
    return self.denoiser.apply(
      {"params": params["denoiser"]}, noisy, time, conditions, mask=valid
    )
