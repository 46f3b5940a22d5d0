"""The words that a model was trained on, and which words it cannot know.

A prompt may use words that no training caption has. The text encoder places a
paraphrase near a word that the model knows; a word that is far from all of
them moves the denoiser nowhere it has been, and the user must hear of it.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
import re
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import safetensors
import safetensors.numpy
from jaxtyping import Float

from vta import errors, files
from vta.encoders import text

FILE = "vocabulary.safetensors"

# Cosine below which a word counts as unknown, for MiniLM and the yard's
# captions (188 words). The separation is weak (AUC 0.63): at 0.45, 79 % of 115
# words of the held-out captions pass and 40 % of 68 words from elsewhere are
# reported; chosen on one half of them, the threshold is 0.46 or 0.39. Hence
# the report always shows the nearest word. "clang" (0.38) is reported, "dog"
# (0.57) passes.
THRESHOLD = 0.45

_FUNCTION_WORDS = frozenset(
  """
  a about above across after again against all along also am an and any are
  around as at away back be because been before behind being below beneath
  beside between beyond both but by can could did do does done down during each
  either else every everything few for forth from had has have having he her
  here him his how i if in inside into is it its itself just may me might more
  most much must my near neither no nor not nothing of off on once one only
  onto or other our out outside over own per she should so some someone
  something somewhere still such than that the their them then there these they
  thing this those through to together too toward towards under until up upon
  us very was we were what when where which while who whose will with within
  without would yet you your
  """.split()  # noqa: SIM905, a list would fill a page
)
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")


class UnknownWord(NamedTuple):
  """A word too far from every known one, and the nearest of those."""

  word: str
  nearest: str
  cosine: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Vocabulary:
  """The content words of the training captions and their embeddings.

  Attributes:
    words: sorted, lower case.
    vectors: each word's pooled embedding, of length one.
  """

  words: tuple[str, ...]
  vectors: Float[np.ndarray, "n d"]

  @classmethod
  def build(
    cls, captions: Iterable[str], encoder: text.TextEncoder
  ) -> Vocabulary:
    """Collects the content words of all captions and embeds each by itself.

    Clips without captions make an empty one.
    """
    words = {word for caption in captions for word in content_words(caption)}
    ordered = tuple(sorted(words))
    if not ordered:
      return cls(words=(), vectors=np.zeros((0, encoder.width), np.float32))
    return cls(words=ordered, vectors=encoder.encode(ordered).pooled)

  def save(self, folder: str | os.PathLike) -> None:
    """Writes `FILE` into a release folder."""
    spelled = "\n".join(self.words).encode()
    arrays = {
      "words": np.frombuffer(spelled, np.uint8),
      "vectors": self.vectors,
    }
    with files.atomic_path(pathlib.Path(folder) / FILE) as path:
      safetensors.numpy.save_file(arrays, path)

  @classmethod
  def load(cls, folder: str | os.PathLike) -> Vocabulary:
    """Reads `FILE` from a release folder.

    Raises:
      InputError: when it is missing, damaged or not a vocabulary.
    """
    path = pathlib.Path(folder) / FILE
    try:
      arrays = safetensors.numpy.load_file(path)
      spelled = arrays["words"].tobytes().decode()
      words = tuple(spelled.split("\n")) if spelled else ()
      vectors = arrays["vectors"]
    except (OSError, safetensors.SafetensorError, UnicodeError) as error:
      raise errors.InputError(path, f"not readable: {error}") from None
    except KeyError as error:
      raise errors.InputError(path, f"has no array {error}") from None
    if vectors.dtype != np.float32 or vectors.ndim != 2:
      raise errors.InputError(path, "vectors must be float32 [words, width]")
    if len(words) != len(vectors):
      raise errors.InputError(
        path, f"{len(words)} words, but {len(vectors)} vectors"
      )
    return cls(words=words, vectors=vectors)


def content_words(sentence: str) -> list[str]:
  """The words that carry meaning, lower case, once each, in order."""
  found = (w.lower().replace("’", "'") for w in _WORD.findall(sentence))
  bare = (word.removesuffix("'s") for word in found)
  return [w for w in dict.fromkeys(bare) if w not in _FUNCTION_WORDS]


def unknown_words(
  sentence: str,
  encoder: text.TextEncoder,
  vocabulary: Vocabulary,
  *,
  threshold: float = THRESHOLD,
) -> list[UnknownWord]:
  """The content words whose nearest known word has a cosine below `threshold`.

  A word of the training captions is never reported, and without captions there
  is nothing to be near to: no word is. Distance in the encoder's
  space is a hint, not knowledge: "dog" passes, being near "bird".
  """
  if vocabulary.vectors.shape[1] != encoder.width:
    raise ValueError(
      f"the vocabulary's vectors are {vocabulary.vectors.shape[1]} wide, the "
      f"encoder's {encoder.width}: another encoder made them"
    )
  known = set(vocabulary.words)
  words = [word for word in content_words(sentence) if word not in known]
  if not words or not known:
    return []
  cosines = encoder.encode(words).pooled @ vocabulary.vectors.T
  unknown = []
  for word, row in zip(words, cosines, strict=True):
    best = int(row.argmax())
    if row[best] < threshold:
      unknown.append(
        UnknownWord(word, vocabulary.words[best], float(row[best]))
      )
  return unknown
