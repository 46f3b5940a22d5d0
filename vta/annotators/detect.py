"""Which of the named things are in the picture: detectors behind one interface.

VTA-SAM's O (papers.md 4.1 and 4.2) is p_{t,k}, how probably thing k is in frame
t, by a grounding detector; Draw an Audio's masks (1.2) are a detector's boxes.
Grounding DINO gives both; CLIP's similarity, which needs no torch, the first
alone; a file, what someone drew or another detector found.
"""

from __future__ import annotations

import os
import pathlib
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float
from PIL import Image

from vta import errors
from vta.annotators import detections, public
from vta.encoders import clip, weights
from vta.media import read
from vta.signals import document
from vta.signals import objects as objects_lib

# papers.md 4.2; of a box's best token, and of a label's best in that box.
BOX_THRESHOLD, TEXT_THRESHOLD = 0.35, 0.25
_AT_ONCE = 4  # frames; Grounding DINO's are large
_CONFIG = "config.json"
_PUBLIC = "IDEA-Research/grounding-dino-tiny"


@runtime_checkable
class Detector(Protocol):
  """Finds things by their names."""

  # All that it can find; None is anything that has a name.
  labels: tuple[str, ...] | None

  def detect(
    self, frames: read.Frames, labels: Sequence[str]
  ) -> detections.Detections:
    """Looks for every label in every frame.

    Args:
      frames: of the clip, at least one.
      labels: what to look for, at least one, each once.

    Raises:
      InputError: the labels are not for this detector.
    """


class GroundingDino:
  """Boxes for words: Liu et al. 2023 (arXiv 2303.05499), by transformers.

  The labels make one caption, "car . fire truck ." A box counts if one of all
  the caption's tokens passes `BOX_THRESHOLD`; a label's score in it is the best
  of the label's own tokens, if that passes `TEXT_THRESHOLD`; of a label's boxes
  the one with the highest score is kept. transformers' processor names a box
  by all tokens that pass, which may be two labels at once or half of one.
  """

  labels: tuple[str, ...] | None = None

  def __init__(self, folder: str | os.PathLike):
    """Reads a GroundingDinoForObjectDetection's folder.

    Raises:
      InputError: torch is not installed, or the folder holds no such model.
    """
    self._processor, self._model = public.load(
      folder, "AutoModelForZeroShotObjectDetection", like=_PUBLIC
    )

  def detect(
    self, frames: read.Frames, labels: Sequence[str]
  ) -> detections.Detections:
    """See `Detector`.

    Raises:
      InputError: a label has no words, or they are too many for one caption.
    """
    import torch

    caption, spans = self._caption(labels)
    probability = np.zeros((len(frames.images), len(labels)))
    boxes = np.full((*probability.shape, 4), np.nan)
    for first in range(0, len(frames.images), _AT_ONCE):
      # Pillow's, whose channels are never in doubt.
      some = frames.images[first : first + _AT_ONCE]
      images = [Image.fromarray(image) for image in some]
      inputs = self._processor(
        images=images, text=[caption] * len(images), return_tensors="pt"
      )
      with torch.inference_mode():
        made = self._model(**inputs)
      scores = torch.sigmoid(made.logits.float()).numpy()
      corners = _corners(made.pred_boxes.float().numpy())
      kept = scores.max(axis=-1) > BOX_THRESHOLD
      for k, span in enumerate(spans):
        own = np.where(kept, scores[..., span].max(axis=-1), 0.0)
        best = own.argmax(axis=1)
        rows = np.arange(len(images))
        found = np.flatnonzero(own[rows, best] > TEXT_THRESHOLD)
        probability[first + found, k] = own[found, best[found]]
        boxes[first + found, k] = corners[found, best[found]]
    return detections.Detections(
      times=frames.times,
      labels=tuple(labels),
      probability=probability,
      boxes=boxes,
    )

  def _caption(self, labels: Sequence[str]) -> tuple[str, list[slice]]:
    """The caption, and the tokens that each label has in it."""
    caption, ends = "", []
    for label in labels:
      # A full stop is what parts one label from the next.
      words = " ".join(label.lower().replace(".", " ").split())
      if not words:
        raise errors.InputError("labels", f"{label!r} has no words")
      ends.append((len(caption), len(caption) + len(words)))
      caption += f"{words} . "
    caption = caption.rstrip()
    codes = self._processor.tokenizer(caption, return_offsets_mapping=True)
    places = codes["offset_mapping"]
    if len(places) > self._model.config.max_text_len:
      raise errors.InputError(
        "labels",
        f"{len(labels)} are {len(places)} tokens; Grounding DINO reads "
        f"{self._model.config.max_text_len}",
      )
    spans = []
    for start, end in ends:
      inside = [i for i, (a, b) in enumerate(places) if start <= a < b <= end]
      spans.append(slice(inside[0], inside[-1] + 1))
    return caption, spans


class ClipSimilarity:
  """Labels by CLIP's likeness of text and picture, on our own port of it.

  p is how sure CLIP is of "a photo of a dog." where "a photo." is the only
  other thing to choose: its zero-shot classifier (Radford et al. 2021) of two
  classes, once for each label, since things do not exclude each other (ours;
  papers.md 5.3 says why a bare cosine has no threshold of 0.5).
  """

  labels: tuple[str, ...] | None = None

  def __init__(self, folder: str | os.PathLike):
    """Reads a CLIPModel's folder.

    Raises:
      InputError: naming what is missing or does not fit.
    """
    self._images = clip.ImageEncoder.load(folder)
    self._texts = clip.TextEncoder.load(folder)
    rest = weights.read_folder_tensors(
      pathlib.Path(folder), without=clip.VISION + clip.TEXT
    )
    scale = weights.take(rest, "logit_scale", (), where=folder)
    self._scale = float(np.exp(scale))

  def detect(
    self, frames: read.Frames, labels: Sequence[str]
  ) -> detections.Detections:
    """See `Detector`; it does not say where."""
    texts = [f"a photo of a {label}." for label in labels]
    words = _unit(self._texts.encode(["a photo.", *texts]).projected)
    seen = _unit(self._images.encode(frames.images).projected)
    likeness = self._scale * seen @ words.T
    odds = likeness[:, 1:] - likeness[:, :1]
    return detections.Detections(
      times=frames.times,
      labels=tuple(labels),
      probability=1 / (1 + np.exp(-odds.astype(np.float64))),
    )


class FromFile:
  """What is in a file: objects as a cue sheet has them (signals/objects.py)."""

  def __init__(self, path: str | os.PathLike, *, duration: float):
    """Reads the file of a clip that lasts `duration` seconds.

    Raises:
      InputError: naming the file and the field that cannot be used.
    """
    self._path = pathlib.Path(path)
    try:
      data = self._path.read_bytes()
    except OSError as error:
      raise errors.InputError(path, f"cannot read: {error.strerror}") from None
    value = document.decode(data, str(path))
    self._objects = objects_lib.from_json(
      value, where=str(path), duration=duration
    )
    self.labels: tuple[str, ...] | None = self._objects.labels

  def detect(
    self, frames: read.Frames, labels: Sequence[str]
  ) -> detections.Detections:
    """See `Detector`; at the file's times, whatever the frames'.

    Raises:
      InputError: the file has no such label.
    """
    held = self._objects.labels
    for label in labels:
      if label not in held:
        raise errors.InputError(
          self._path, f"holds no {label!r}; it has {', '.join(held)}"
        )
    columns = [held.index(label) for label in labels]
    return detections.Detections(
      times=self._objects.times,
      labels=tuple(labels),
      probability=self._objects.probability[:, columns],
    )


def load(path: str | os.PathLike, *, duration: float) -> Detector:
  """The detector that lies at a path, for a clip of `duration` seconds.

  Raises:
    InputError: it is neither a file nor a folder of a model that is known.
  """
  if not pathlib.Path(path).is_dir():
    return FromFile(path, duration=duration)
  folder = weights.checked_folder(path, (_CONFIG,), like=_PUBLIC)
  kind = weights.read_config(folder / _CONFIG).get("model_type")
  known = {"grounding-dino": GroundingDino, "clip": ClipSimilarity}
  if kind not in known:
    raise errors.InputError(
      folder / _CONFIG,
      f"model_type is {kind!r}; only {' and '.join(map(repr, known))} detect",
    )
  return known[kind](folder)


def _corners(boxes: Float[np.ndarray, "*n 4"]) -> Float[np.ndarray, "*n 4"]:
  """Middle and size to left, top, right, bottom, within the frame."""
  middle, half = boxes[..., :2], boxes[..., 2:] / 2
  return np.concatenate([middle - half, middle + half], axis=-1).clip(0.0, 1.0)


def _unit(vectors: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n d"]:
  return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
