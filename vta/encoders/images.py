"""Frames as a tower wants them: transformers' image processing, by Pillow.

Resize until the shortest edge fits, cut out the middle, scale, normalise: what
CLIPImageProcessor and BitImageProcessor (DINOv2's) do in their Pillow backend,
with the settings of preprocessor_config.json. Grey levels are the same, since
both resize with Pillow.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from vta import errors
from vta.encoders import weights

FILE = "preprocessor_config.json"
# Both processors' defaults, CLIP's statistics included.
_DEFAULTS: Mapping[str, Any] = {
  "size": 224,
  "crop_size": 224,
  "rescale_factor": 1 / 255,
  "image_mean": (0.48145466, 0.4578275, 0.40821073),
  "image_std": (0.26862954, 0.26130258, 0.27577711),
}
_PORTED: Mapping[str, tuple] = {
  "image_processor_type": (
    "CLIPImageProcessor",
    "CLIPImageProcessorFast",
    "BitImageProcessor",
    "BitImageProcessorFast",
  ),
  "feature_extractor_type": ("CLIPFeatureExtractor",),
  "resample": (int(Image.Resampling.BICUBIC),),
  **dict.fromkeys(
    ("do_resize", "do_center_crop", "do_rescale", "do_normalize"), (True,)
  ),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Processor:
  """Settings of preprocessor_config.json.

  Attributes:
    size: of the shortest edge after resizing.
    crop_size: side of the square that is cut out.
    rescale_factor: of a pixel, before it is normalised.
    image_mean: what is subtracted then, of each channel.
    image_std: what it is divided by.
  """

  size: int
  crop_size: int
  rescale_factor: float
  image_mean: tuple[float, float, float]
  image_std: tuple[float, float, float]

  @classmethod
  def load(cls, path: str | os.PathLike) -> Processor:
    """Reads a preprocessor_config.json.

    Raises:
      InputError: listing what is of no use or not ported.
    """
    document = weights.read_config(path)
    weights.require(document, _PORTED, where=path)
    found = {n: document.get(n, value) for n, value in _DEFAULTS.items()}
    # Old files have bare numbers.
    size, crop = (
      _number(found[name], keys)
      for name, keys in (
        ("size", {"shortest_edge"}),
        ("crop_size", {"height", "width"}),
      )
    )
    wrong = []
    if size is None:
      wrong.append(f"size must be a shortest_edge, not {found['size']!r}")
    if crop is None:
      wrong.append(f"crop_size must be a square's, not {found['crop_size']!r}")
    if size and crop and crop > size:
      wrong.append(f"crop_size {crop} is larger than size {size}")
    factor = found["rescale_factor"]
    if not isinstance(factor, float | int) or factor <= 0:
      wrong.append(f"rescale_factor must be positive, not {factor!r}")
    for name in ("image_mean", "image_std"):
      value = found[name]
      if not (
        isinstance(value, list | tuple)
        and len(value) == 3
        and all(isinstance(x, float | int) for x in value)
        and (name == "image_mean" or min(value) > 0)
      ):
        wrong.append(f"{name} must be a number per channel, not {value!r}")
    if wrong:
      raise errors.InputError(path, "; ".join(wrong))
    return cls(
      size=size,
      crop_size=crop,
      rescale_factor=float(factor),
      image_mean=tuple(map(float, found["image_mean"])),
      image_std=tuple(map(float, found["image_std"])),
    )

  def __call__(
    self, frames: UInt8[np.ndarray, "n h w 3"]
  ) -> Float[np.ndarray, "n s s 3"]:
    """RGB frames of any size as the pictures that a tower takes."""
    height, width = frames.shape[1:3]
    short = min(height, width)
    # The longer edge is cut to whole pixels, not rounded.
    tall, wide = (int(self.size * edge / short) for edge in (height, width))
    top, left = (tall - self.crop_size) // 2, (wide - self.crop_size) // 2
    box = (left, top, left + self.crop_size, top + self.crop_size)
    side = self.crop_size
    pictures = np.zeros((len(frames), side, side, 3), np.float32)
    for i, frame in enumerate(frames):
      image = Image.fromarray(frame)
      image = image.resize((wide, tall), Image.Resampling.BICUBIC)
      pictures[i] = np.asarray(image.crop(box))
    pictures *= np.float32(self.rescale_factor)
    pictures -= np.array(self.image_mean, np.float32)
    pictures /= np.array(self.image_std, np.float32)
    return pictures


def _number(value: Any, keys: set[str]) -> int | None:
  """The whole number that all of a dictionary's `keys` have, or a bare one."""
  if isinstance(value, dict):
    if set(value) != keys or len(set(value.values())) != 1:
      return None
    value = next(iter(value.values()))
  whole = isinstance(value, int) and not isinstance(value, bool)
  return value if whole and value > 0 else None
