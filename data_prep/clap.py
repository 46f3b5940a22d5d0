"""How alike a sound and a text are to CLAP, by a public folder of it.

Wu et al. 2023 (arXiv 2211.06687), laion/clap-htsat-unfused and what has its
layout. Sounds go through our port of its audio tower, texts through
transformers' class of its text tower, which needs PyTorch.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from vta.annotators import public
from vta.encoders import clap
from vta.signals import timing

_PUBLIC = "laion/clap-htsat-unfused"
_BATCH = 64


@dataclasses.dataclass(frozen=True, kw_only=True)
class Clap:
  """Both towers.

  Attributes:
    audio: ours.
    processor, text: transformers'.
  """

  audio: clap.AudioEncoder
  processor: Any
  text: Any

  @classmethod
  def load(cls, folder: str | os.PathLike) -> Clap:
    """Reads a ClapModel's folder.

    Raises:
      InputError: torch is not installed, or the folder holds no such model.
    """
    audio = clap.AudioEncoder.load(folder)
    processor, text = public.load(
      folder, "ClapTextModelWithProjection", like=_PUBLIC
    )
    return cls(audio=audio, processor=processor, text=text)

  def hear(
    self, waves: Sequence[Float[np.ndarray, "t 2"]]
  ) -> Float[np.ndarray, "n p"]:
    """Embeddings, of length one, of sounds of one length at 44.1 kHz.

    Of what is longer than the model's ten seconds the beginning is heard.
    """
    return self.audio.encode(np.stack(waves), rate=timing.SAMPLE_RATE).embedding

  def read(self, texts: Sequence[str]) -> Float[np.ndarray, "n p"]:
    """Embeddings, of length one, of texts."""
    import torch

    made = []
    for start in range(0, len(texts), _BATCH):
      tokens = self.processor.tokenizer(
        list(texts[start : start + _BATCH]),
        padding=True,
        truncation=True,
        return_tensors="pt",
      )
      with torch.inference_mode():
        made.append(self.text(**tokens).text_embeds.float().numpy())
    rows = np.concatenate(made)
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)
