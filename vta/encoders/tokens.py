"""What the tokenizers of all text towers have in common."""

from __future__ import annotations

import os

import tokenizers

from vta import errors


def read(path: str | os.PathLike, *, limit: int) -> tokenizers.Tokenizer:
  """A tokenizer.json of at most `limit` tokens.

  Raises:
    InputError: it is none, or has more tokens than the weights know.
  """
  try:
    tokenizer = tokenizers.Tokenizer.from_file(os.fspath(path))
  except Exception as error:  # The library raises bare Exceptions.
    raise errors.InputError(path, f"not a tokenizer: {error}") from None
  size = tokenizer.get_vocab_size()
  if size > limit:
    raise errors.InputError(
      path, f"has {size} tokens, but the weights know only {limit}"
    )
  return tokenizer


def cut(text: str, code: tokenizers.Encoding) -> str:
  """The end of the text that truncation left out."""
  if not code.overflowing:
    return ""
  spans = zip(code.offsets, code.special_tokens_mask, strict=True)
  return text[max(end for (_, end), special in spans if not special) :].strip()
