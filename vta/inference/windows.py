"""Long clips: overlapping windows that are denoised together (MultiDiffusion).

A denoiser trained on crops is at home on crops. A longer clip is cut into
overlapping windows of that length; at every step each window predicts its
velocity and the predictions are averaged where they overlap (Bar-Tal et al.
2302.08113), so the windows agree before they ever become sound: there is
nothing to cross-fade and no seam. Time grows linearly with the duration.
"""

from __future__ import annotations

import dataclasses

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Windows:
  """How a clip's latents are covered.

  Attributes:
    length: latents that are denoised, the clip's and what fills the last
      window.
    starts: first latent of every window.
    size: latents a window.
    overlap: latents that neighbours share.
  """

  length: int
  starts: tuple[int, ...]
  size: int
  overlap: int

  @property
  def index(self) -> Int[np.ndarray, "w s"]:
    """Latent of every place in every window."""
    return np.add.outer(np.array(self.starts), np.arange(self.size))

  @property
  def weights(self) -> Float[np.ndarray, "w s"]:
    """Shares in the average: a ramp over each overlap, summing to 1."""
    ramp = (np.arange(self.size) + 0.5) / max(self.overlap, 1)
    one = np.minimum(1.0, np.minimum(ramp, ramp[::-1]))
    table = np.tile(one, (len(self.starts), 1))
    total = np.zeros(self.length)
    np.add.at(total, self.index, table)
    return (table / total[self.index]).astype(np.float32)

  def split(self, x: Float[Array, "b t c"]) -> Float[Array, "bw s c"]:
    """Every clip's windows, clip after clip."""
    parts = x[:, self.index]
    return parts.reshape(-1, self.size, x.shape[-1])

  def join(self, parts: Float[Array, "bw s c"]) -> Float[Array, "b t c"]:
    """The weighted average; inverse of `split` for windows that agree."""
    count, channels = len(self.starts), parts.shape[-1]
    parts = parts.reshape(-1, count, self.size, channels)
    parts = parts * self.weights[None, :, :, None]
    out = jnp.zeros((parts.shape[0], self.length, channels), parts.dtype)
    return out.at[:, self.index].add(parts)


def cover(latents: int, *, size: int) -> Windows:
  """Windows for a clip; one suffices up to `size` latents.

  A quarter of a window is shared with each neighbour. The last window is full
  too, and what it holds beyond the clip is cut off after decoding: the number
  of programs to compile stays small.
  """
  overlap = size // 4
  hop = size - overlap
  count = 1 + max(0, -(-(latents - size) // hop))
  starts = tuple(i * hop for i in range(count))
  return Windows(
    length=starts[-1] + size, starts=starts, size=size, overlap=overlap
  )
