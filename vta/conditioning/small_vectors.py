"""A vector of text, of sound and of picture, without LanguageBind (ours).

What the yard's form of `tri_ergon` reads in LanguageBind's place: pooled, as
there, from what small models have anyway, and zeros up to one width. They
share no space, which nothing in the preset asks of them.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float

from vta.conditioning import inputs


def text(
  tokens: Float[np.ndarray, "s d"], mask: Bool[np.ndarray, "s"], *, width: int
) -> Float[np.ndarray, "w"]:
  """The mean of a caption's tokens."""
  words = np.asarray(tokens, np.float32)[mask]
  return _padded(words.mean(axis=0), width)


def audio(
  latents: Float[np.ndarray, "l c"], *, width: int
) -> Float[np.ndarray, "w"]:
  """Mean and deviation of a recording's normalised latents."""
  return _padded(inputs.describe_reference(latents), width)


def video(
  pictures: Float[np.ndarray, "f v"], *, width: int
) -> Float[np.ndarray, "w"]:
  """Mean and deviation of what a frame encoder makes of the frames."""
  pictures = np.asarray(pictures, np.float32)
  return _padded(
    np.concatenate([pictures.mean(axis=0), pictures.std(axis=0)]), width
  )


def _padded(vector, width):
  if len(vector) > width:
    raise ValueError(f"{len(vector)} numbers do not fit {width}")
  return np.pad(vector, (0, width - len(vector))).astype(np.float32)
