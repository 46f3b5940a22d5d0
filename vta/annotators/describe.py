"""What a silent clip should sound like, in words, by a vision-language model.

SonicVisionLM's event understanding (papers.md 2.1 (i)): four frames in the
order of time, in one prompt of "First, ... Then, ... After that, ... Finally,
...", then an instruction. The paper runs MiniGPT-v2 on four random frames; here
any image-text-to-text model of transformers will do, the frames are the middles
of four equal parts and decoding is greedy, so that the same clip has the same
words (ours), and the instruction is ours.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from vta import errors
from vta.annotators import public
from vta.signals import timing

FRAMES = 4
INSTRUCTION = (
  "These are four moments of one silent video. Say in one short sentence what "
  "would be heard, and nothing else. For example: a dog barks while rain falls."
)
_JOINTS = ("First, ", ". Then, ", ". After that, ", ". Finally, ", ". ")
_LONGEST = 64  # tokens
_PUBLIC = "HuggingFaceTB/SmolVLM-256M-Instruct"


def frame_times(start: float | int, end: float | int) -> Float[np.ndarray, "4"]:
  """When to look at what lies between two times, s."""
  return timing.centres(FRAMES, FRAMES / (end - start), start)


class Describer:
  """A model that was loaded once, for any number of clips."""

  def __init__(self, folder: str | os.PathLike):
    """Reads a model's folder.

    Raises:
      InputError: torch is not installed, or the folder holds no such model.
    """
    self._folder = folder
    self._processor, self._model = public.load(
      folder, "AutoModelForImageTextToText", like=_PUBLIC
    )

  def describe(
    self,
    frames: UInt8[np.ndarray, "4 h w 3"],
    *,
    instruction: str = INSTRUCTION,
  ) -> str:
    """One line of text; "" where the model says nothing.

    Args:
      frames: in the order of time.
      instruction: what the model is told to do.

    Raises:
      InputError: the model cannot be asked about four pictures.
    """
    import torch

    # Pillow's, whose channels are never in doubt.
    images = [Image.fromarray(frame) for frame in frames]
    try:
      inputs = self._inputs(images, instruction)
      with torch.inference_mode():
        said = self._model.generate(
          **inputs, do_sample=False, num_beams=1, max_new_tokens=_LONGEST
        )
    except (IndexError, TypeError, ValueError) as error:
      raise errors.InputError(
        self._folder, f"cannot be asked about four pictures: {error}"
      ) from None
    asked = inputs["input_ids"]
    # Decoders repeat the prompt; a model with an encoder does not.
    if torch.equal(said[:, : asked.shape[1]], asked):
      said = said[:, asked.shape[1] :]
    (text,) = self._processor.batch_decode(said, skip_special_tokens=True)
    # What a terminal would obey has no place in a text.
    text = "".join(c if c.isprintable() else " " for c in text)
    return " ".join(text.split())

  def _inputs(self, images: list[Image.Image], instruction: str) -> Any:
    if getattr(self._processor, "chat_template", None):
      content: list[dict[str, Any]] = []
      for joint, image in zip(_JOINTS, images, strict=False):
        content.append({"type": "text", "text": joint})
        content.append({"type": "image", "image": image})
      content.append({"type": "text", "text": _JOINTS[-1] + instruction})
      return self._processor.apply_chat_template(
        [{"role": "user", "content": content}],
        add_generation_prompt=True,
        tokenize=True,
        return_dict=True,
        return_tensors="pt",
      )
    picture = getattr(self._processor, "image_token", None)
    if picture is None:
      raise ValueError("it has neither a chat template nor an image token")
    prompt = "".join(joint + picture for joint in _JOINTS[:-1])
    return self._processor(
      text=prompt + _JOINTS[-1] + instruction,
      images=images,
      return_tensors="pt",
    )
