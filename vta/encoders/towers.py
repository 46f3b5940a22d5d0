"""The papers' towers of words and frames: T5 and CLIP, as records have them.

  t5    tokens of a text; FLAN-T5-large is Tango's, 1024 wide
  clip  tokens of a text (Auffusion's), or the embedding of a label (VTA-SAM's)
        or of a frame (both); ViT-L/14's are 768 wide, all three

Records and generation both come through here. Each tower is a public folder,
which lies in a release under its name above.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, UInt8

from vta import errors
from vta.encoders import clip, t5, t5_text, text, weights

# Tokens that a text may have, by what reads it.
TOKENS = {"minilm": text.TOKENS, "t5": t5_text.TOKENS, "clip": 77}
_CONFIG = "config.json"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Texts:
  """What CLIP makes of n texts.

  Attributes:
    tokens: of the text, start and end, and zeros elsewhere (ours): Auffusion
      attends to all 77, but what pads a text tells nothing new.
    mask: true on the former.
    pooled: the embedding, transformers' text_embeds before they are made of
      length one.
    cut: for each text the end of it that did not fit and was not read.
  """

  tokens: Float[np.ndarray, "n t d"]
  mask: Bool[np.ndarray, "n t"]
  pooled: Float[np.ndarray, "n p"]
  cut: tuple[str, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClipTexts:
  """CLIP's text tower.

  Attributes:
    encoder: the tower.
  """

  encoder: clip.TextEncoder

  def encode(self, texts: Sequence[str]) -> Texts:
    """Of each text; the others in the list do not matter."""
    made = self.encoder.encode(texts)
    return Texts(
      tokens=np.where(made.mask[..., None], made.tokens, np.float32(0.0)),
      mask=made.mask,
      pooled=made.projected,
      cut=made.cut,
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClipFrames:
  """CLIP's image tower.

  Attributes:
    encoder: the tower.
  """

  encoder: clip.ImageEncoder

  def encode(
    self,
    frames: UInt8[np.ndarray, "f h w 3"],
    mask: UInt8[np.ndarray, "f h w"] | None = None,
  ) -> Float[np.ndarray, "f e"]:
    """The embedding of each frame; it does not depend on the others.

    Args:
      frames: RGB, of any size; processed as transformers' CLIPImageProcessor
        does.
      mask: 255 where the picture may be seen; None shows all of it. What it
        hides has the tower's mean colour, which is zero for it: Draw an Audio
        masks pixels, before the encoder (papers.md 1.3).
    """
    if mask is not None:
      mean = np.array(self.encoder.processor.image_mean)
      mean = mean / self.encoder.processor.rescale_factor
      hidden = np.round(mean).astype(np.uint8)
      frames = np.where(mask[..., None] > 0, frames, hidden)
    return self.encoder.encode(frames).projected


TextEncoder = text.TextEncoder | t5_text.T5TextEncoder | ClipTexts


def load_texts(by: str, folder: str | os.PathLike) -> TextEncoder:
  """What reads prompts.

  Args:
    by: one of `TOKENS`.
    folder: the tower's; the text encoder of `foley` needs none.

  Raises:
    InputError: saying which files are expected where, or what does not fit.
  """
  if by == "minilm":
    return text.TextEncoder.load()
  if by == "clip":
    return ClipTexts(encoder=clip.TextEncoder.load(folder))
  return t5_text.T5TextEncoder.load(folder, max_length=TOKENS[by])


def load_frames(folder: str | os.PathLike) -> ClipFrames:
  """What sees frames; errors as of `load_texts`."""
  return ClipFrames(encoder=clip.ImageEncoder.load(folder))


def check(
  by: str,
  folder: str | os.PathLike,
  *,
  tokens: int | None = None,
  embedding: int | None = None,
) -> None:
  """Is a tower there, and of a model's widths? Reads no more than its config.

  Args:
    by: "t5" or "clip".
    folder: where it should be.
    tokens: width of a text's tokens that the model wants, if any.
    embedding: width of the embeddings of frames and labels, idem.

  Raises:
    InputError: it is not.
  """
  path = weights.checked_folder(folder, (_CONFIG, weights.TENSORS)) / _CONFIG
  if by == "clip":
    config = clip.parse(clip.TextConfig, "text", path)
    found = {"tokens": config.hidden_size, "embeddings": config.projection_dim}
  else:
    parsed = t5.T5Config.parse(weights.read_config(path), where=path)
    found = {"tokens": parsed.d_model}
  wanted = {"tokens": tokens, "embeddings": embedding}
  for what, width in found.items():
    if wanted[what] not in (None, width):
      raise errors.InputError(
        folder, f"its {what} are {width} wide, the model's {wanted[what]}"
      )
