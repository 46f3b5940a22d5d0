"""The tokenizer of CLIP's text towers, from either form of its files.

Newer folders hold tokenizer.json; OpenAI's first ones and LanguageBind's only
vocab.json and merges.txt, what that file is made of (transformers'
CLIPTokenizer makes it at every start).
"""

from __future__ import annotations

import pathlib

import tokenizers
from tokenizers import models, normalizers, pre_tokenizers, processors

from vta import errors
from vta.encoders import tokens, weights

_WHOLE, _WORDS, _MERGES = "tokenizer.json", "vocab.json", "merges.txt"
# See weights.checked_folder.
FILES = (_WHOLE, f"{_WORDS} and {_MERGES}")
_START, _END = "<|startoftext|>", "<|endoftext|>"
# Configs from before transformers 4.31 have this wrong number for `_END`; the
# pooled token is then the one with the highest id.
LEGACY_END = 2
# Radford et al. 2021, as OpenAI's simple_tokenizer.py splits: contractions,
# runs of letters, single digits, runs of anything else.
_SPLIT = (
  r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d"
  r"|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
)


def load(
  folder: pathlib.Path, *, limit: int, end: int, length: int
) -> tokenizers.Tokenizer:
  """A folder's tokenizer, set up for texts of `length` tokens.

  Args:
    folder: with tokenizer.json, or with vocab.json and merges.txt.
    limit: tokens that the weights know.
    end: the config's eos_token_id.
    length: to which a text is cut or padded.

  Raises:
    InputError: what is no tokenizer, or does not fit the config.
  """
  path = folder / _WHOLE
  if path.is_file():
    tokenizer = tokens.read(path, limit=limit)
  else:
    path = folder / _WORDS
    tokenizer = _assemble(folder, limit=limit)
  number = tokenizer.token_to_id(_END)
  if number is None or end not in (number, LEGACY_END):
    raise errors.InputError(
      path, f"{_END} is {number}, but eos_token_id is {end}"
    )
  pad, beside = _END, folder / "tokenizer_config.json"
  # Of all settings only this one is not in tokenizer.json: OpenCLIP's "!".
  if beside.is_file():
    pad = weights.read_config(beside).get("pad_token", _END)
    pad = pad.get("content") if isinstance(pad, dict) else pad
  if not isinstance(pad, str) or tokenizer.token_to_id(pad) is None:
    raise errors.InputError(beside, f"pad_token {pad!r} is not in {path.name}")
  tokenizer.enable_truncation(length)
  tokenizer.enable_padding(
    length=length, pad_id=tokenizer.token_to_id(pad), pad_token=pad
  )
  return tokenizer


def _assemble(folder: pathlib.Path, *, limit: int) -> tokenizers.Tokenizer:
  """What tokenizer.json would hold."""
  try:
    model = models.BPE.from_file(
      str(folder / _WORDS),
      str(folder / _MERGES),
      unk_token=_END,
      continuing_subword_prefix="",
      end_of_word_suffix="</w>",
    )
  except Exception as error:  # The library raises bare Exceptions.
    raise errors.InputError(
      folder / _WORDS, f"not a tokenizer, with {_MERGES}: {error}"
    ) from None
  tokenizer = tokenizers.Tokenizer(model)
  size = tokenizer.get_vocab_size()
  if size > limit:
    raise errors.InputError(
      folder / _WORDS, f"has {size} tokens, but the weights know only {limit}"
    )
  marks = [(mark, tokenizer.token_to_id(mark)) for mark in (_END, _START)]
  for mark, number in marks:
    if number is None:
      raise errors.InputError(folder / _WORDS, f"has no {mark}")
  tokenizer.normalizer = normalizers.Sequence(
    [
      normalizers.NFC(),
      normalizers.Replace(tokenizers.Regex(r"\s+"), " "),
      normalizers.Lowercase(),
    ]
  )
  tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
    [
      pre_tokenizers.Split(
        tokenizers.Regex(_SPLIT), behavior="removed", invert=True
      ),
      pre_tokenizers.ByteLevel(add_prefix_space=False),
    ]
  )
  tokenizer.post_processor = processors.RobertaProcessing(
    *marks, trim_offsets=False, add_prefix_space=False
  )
  tokenizer.add_special_tokens([mark for mark, _ in marks])
  return tokenizer
