"""Sentences to T5's token features, as Stable Audio Open's prompts need them.

A folder of a T5EncoderModel or of a whole T5, and the tokenizer.json that
belongs to it. The tokens are what diffusers' StableAudioPipeline computes from
a prompt: cut and padded to 128, zero on padding.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import pathlib
from collections.abc import Sequence
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
import tokenizers
from jaxtyping import Array, Bool, Float, Int

from vta import errors
from vta.encoders import batches, t5, weights
from vta.encoders import tokens as tokens_lib

_CONFIG, _WORDS = "config.json", "tokenizer.json"
_PUBLIC = "google-t5/t5-base"
TOKENS = 128  # model_max_length of Stable Audio Open's tokenizer
_SHORTEST = 16  # tokens; shorter batches would only add programs to compile
# Larger requests run in several batches: bounds memory and compilations.
_MAX_BATCH = 64
_END, _PAD = "</s>", "<pad>"


@dataclasses.dataclass(frozen=True, kw_only=True)
class T5Features:
  """What the encoder makes of n texts.

  Attributes:
    tokens: last hidden states; zero where `mask` is false.
    mask: true on real tokens, the closing </s> included.
    cut: for each text the end of it that did not fit and was not read; "" for
      a text that was read whole. Callers tell the user.
  """

  tokens: Float[np.ndarray, "n s d"]
  mask: Bool[np.ndarray, "n s"]
  cut: tuple[str, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class T5TextEncoder:
  """A frozen T5 encoder with its tokenizer.

  Attributes:
    config: the tower's geometry.
    params: its parameters, on the device; matrices in `dtype`.
    tokenizer: set up for `max_length` tokens a text.
    max_length: tokens of every text, padding included.
    dtype: of the matrix products.
  """

  config: t5.T5Config
  params: dict
  tokenizer: tokenizers.Tokenizer
  max_length: int
  dtype: Literal["float32", "bfloat16"]

  @classmethod
  def load(
    cls,
    folder: str | os.PathLike,
    *,
    tokenizer: str | os.PathLike | None = None,
    max_length: int = TOKENS,
    dtype: Literal["float32", "bfloat16"] = "float32",
  ) -> T5TextEncoder:
    """Reads a Hugging Face folder of a T5.

    Args:
      folder: holds config.json and the tensors.
      tokenizer: the folder of tokenizer.json where it is another, as in
        Stable Audio Open's (text_encoder and tokenizer side by side).
      max_length: tokens that a text is cut and padded to.
      dtype: of the matrix products.

    Raises:
      InputError: saying which files are expected where, or what in them does
        not fit.
    """
    words = pathlib.Path(folder if tokenizer is None else tokenizer) / _WORDS
    _refuse_spiece(words)
    files = [_CONFIG, weights.TENSORS] + [_WORDS] * (tokenizer is None)
    path = weights.checked_folder(folder, files, like=_PUBLIC)
    weights.checked_folder(words.parent, (_WORDS,))
    config_path = path / _CONFIG
    config = t5.T5Config.parse(
      weights.read_config(config_path), where=config_path
    )
    tensors = weights.read_folder_tensors(path, without=("decoder.",))
    return cls(
      config=config,
      params=_place(t5.convert(tensors, config, where=path), dtype),
      tokenizer=_tokenizer(words, config, max_length),
      max_length=max_length,
      dtype=dtype,
    )

  @property
  def width(self) -> int:
    return self.config.d_model

  def encode(self, texts: Sequence[str]) -> T5Features:
    """Features of each text; they do not depend on the others in the list.

    Texts go by length, in batches as long as their longest: a caption has a
    tenth of 128 tokens. Batches and lengths are padded to powers of two, so
    that few programs are compiled.
    """
    codes = self.tokenizer.encode_batch(list(texts))
    shape = (len(codes), self.max_length)
    ids = np.array([c.ids for c in codes], np.int32).reshape(shape)
    mask = np.array([c.attention_mask for c in codes], bool).reshape(shape)
    tokens = np.zeros((*shape, self.width), np.float32)
    lengths = mask.sum(axis=1)

    def run():
      for here in batches.by_length(lengths, _MAX_BATCH):
        longest = max(int(lengths[here[-1]]), _SHORTEST)
        length = min(batches.power_of_two(longest), self.max_length)
        size = batches.power_of_two(len(here))
        rows, seen = (batches.pad(x[here, :length], size) for x in (ids, mask))
        made = _forward(self.config, self.dtype, self.params, rows, seen)
        yield here, length, made

    for here, length, made in batches.ahead(run()):
      tokens[here, :length] = np.asarray(made)[: len(here)]
    cut = tuple(tokens_lib.cut(t, c) for t, c in zip(texts, codes, strict=True))
    return T5Features(tokens=tokens, mask=mask, cut=cut)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _forward(
  config: t5.T5Config,
  dtype: str,
  params: dict,
  ids: Int[Array, "b t"],
  mask: Bool[Array, "b t"],
) -> Float[Array, "b t d"]:
  """Last hidden states, zero on padding."""
  x = t5.T5Encoder(config, dtype).apply({"params": params}, ids, mask)
  return jnp.where(mask[..., None], x, 0.0)


def _place(params: dict, dtype: str) -> dict:
  """On the device, the matrices in `dtype`: half the memory in bfloat16."""

  def place(path, value):
    matrix = path[-1].key in ("kernel", "embedding")
    return jnp.asarray(value, dtype if matrix else jnp.float32)

  return jax.tree_util.tree_map_with_path(place, params)


def _refuse_spiece(words: pathlib.Path) -> None:
  """Says how to make a tokenizer.json of what is there in its place."""
  folder = str(words.parent)
  if not words.is_file() and (words.parent / "spiece.model").is_file():
    raise errors.InputError(
      folder,
      "has spiece.model, but tokenizer.json is needed; make it with `pip "
      "install transformers sentencepiece protobuf` and `python -c "
      '"from transformers import T5TokenizerFast as T; '
      f'T.from_pretrained({folder!r}).save_pretrained({folder!r})"`',
    )


def _tokenizer(
  path: pathlib.Path, config: t5.T5Config, max_length: int
) -> tokenizers.Tokenizer:
  tokenizer = tokens_lib.read(path, limit=config.vocab_size)
  # The file's own settings give way to ours.
  tokenizer.no_padding()
  tokenizer.enable_truncation(max_length)
  pad = tokenizer.token_to_id(_PAD)
  if pad is None or tokenizer.encode("").tokens != [_END]:
    raise errors.InputError(
      path, f"not T5's: it must have {_PAD} and close every text with {_END}"
    )
  tokenizer.enable_padding(length=max_length, pad_id=pad, pad_token=_PAD)
  return tokenizer
