"""All that the denoiser knows of what is asked for."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from torch import Tensor


@dataclasses.dataclass(frozen=True, kw_only=True)
class Conditions:
  """What a conditioner makes; nulls are in place of what was dropped.

  Attributes:
    tokens: [b, n, d], for cross-attention.
    mask: bool [b, n], which of them may be attended to.
    input: name -> [b, t, c] at latent time, added after the input projection.
    block: name -> [b, t, c], added after every block's cross-attention.
    vector: [b, v], joined with the diffusion time.
  """

  tokens: Tensor
  mask: Tensor
  input: Mapping[str, Tensor]
  block: Mapping[str, Tensor]
  vector: Tensor
