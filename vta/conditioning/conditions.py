"""`Conditions`: all that the denoiser knows of what is asked for.

Encoders, signals and conditioners differ from preset to preset; what reaches
the denoiser does not. There are five kinds of entry, and each names one place
in the transformer where it acts (papers.md, sections 6 and 7):

  streams   tokens for cross-attention: joined ("concat"), each with keys and
            values of its own ("decoupled": IP-Adapter, Smooth-Foley), or in a
            layer of its own after the others ("layer": Draw an Audio's MAM)
  input     a sequence at latent time, added after the input projection (TLM)
  block     a sequence at latent time, added after every block's
            cross-attention (VTA-SAM's object sequence)
  control   a hint at latent time for a trainable copy of the first blocks
            (SonicVisionLM's and Smooth-Foley's temporal adapters), which sees
            the "concat" streams and the vector beside it
  vector    one vector per clip, joined with the timestep embedding

Nulls are already in place: an entry that was dropped or not asked for holds
its learned null value, so the denoiser needs no notion of absence.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Bool, Float

Mode = Literal["concat", "decoupled", "layer"]


@struct.dataclass
class Stream:
  """Tokens for cross-attention.

  Attributes:
    tokens: the tokens.
    mask: which of them may be attended to; at least one per clip.
    scale: weight of this stream's attention output, not for "concat".
    mode: whether the stream shares keys and values with the other "concat"
      streams, has its own, or a whole layer of its own.
  """

  tokens: Float[Array, "b n d"]
  mask: Bool[Array, "b n"]
  scale: Float[Array, "b"] | None = None
  mode: Mode = struct.field(pytree_node=False, default="concat")


@struct.dataclass
class Control:
  """A hint for a control branch, and how strongly it acts on each clip."""

  hint: Float[Array, "b t c"]
  scale: Float[Array, "b"]


@struct.dataclass
class Conditions:
  """What the denoiser consumes; the keys are the names of the entries."""

  streams: Mapping[str, Stream] = struct.field(default_factory=dict)
  input: Mapping[str, Float[Array, "b t _"]] = struct.field(
    default_factory=dict
  )
  block: Mapping[str, Float[Array, "b t _"]] = struct.field(
    default_factory=dict
  )
  control: Mapping[str, Control] = struct.field(default_factory=dict)
  vector: Float[Array, "b _"] | None = None


def concatenate(parts: list[Conditions]) -> Conditions:
  """Joins conditions along the batch: guidance runs all branches at once."""
  return jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *parts)
