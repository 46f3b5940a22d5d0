"""The nouns of a prompt: what a detector is to look for.

VTA-SAM (papers.md 4.2) tags the prompt's words with nltk, keeps the nouns,
lower-cases and lemmatises them. nltk downloads its models; HanTa (the Hanover
Tagger: a hidden Markov model over morphemes, LGPL-3.0-or-later, pure Python)
has its English one in the package, 1.7 MB, and knows lemmas too. The model is
a pickle: an unpickler that knows nothing but NumPy's numbers reads it.

HanTa takes a caption's "a dog barks" for two nouns. Ours is the rule that in a
clause without a verb the last of the first nouns is one, where its ending
agrees with the noun before it as a verb's does with its subject's.

Measured by tests/test_annotators_nouns.py, leaving out words that may be called
nouns or not ("a plastic bag", "typing on a keyboard"), in 40 captions in the
manner of AudioCaps, labelled by hand, on which the rule was made; in 20 more,
written after its first form; in 851 of the yard, held-out words among them:

  precision, recall, share of captions without a fault
  the 40     0.93, 0.96, 80 %; without the rule 0.82, 0.96, 58 %
  the 20     0.98, 1.00, 95 %; without the rule 0.84, 1.00, 55 %
  the yard   0.96, 0.97, 87 %; without the rule 0.92, 0.97, 78 %

What is left is for the most part verbs that pass for nouns, for which a
detector finds nothing. English only.
"""

from __future__ import annotations

import functools
import gzip
import importlib.util
import math
import pathlib
import pickle
import re
from typing import Any

from vta import errors

MOST = 8  # papers.md 4.2
_MODEL = "morphmodel_en.pgz"
_TOKEN = re.compile(r"\w[\w'’-]*|[^\w\s]")
# HanTa's tags are the British National Corpus's (C5), whose NN0 to NN2 and NP0
# are the Penn Treebank's NN, NNS, NNP and NNPS. What may stand before a noun:
# articles, adjectives, determiners, possessives, numbers, adverbs, participles.
_BEFORE = ("AT", "AJ", "DT", "DP", "CR", "AV", "OR", "VVG", "VVN")
_PARTICIPLES = ("VVG", "VVN")
# After one of these the last noun is no plural: what looks like one is a verb.
_ONE = frozenset(("a", "an", "another", "each", "every", "one"))
# Nats: keeps "church bells" and "glass bottles", and finds "water splashes".
_VERB = 3.1


def nouns(prompt: str) -> tuple[str, ...]:
  """The nouns, as lemmas in lower case, each once, at most `MOST` of them.

  Raises:
    InputError: the tagger's package is not installed.
  """
  # In lower case: a capital at the start passes for a name.
  tokens = _TOKEN.findall(prompt.lower())
  tagged = _tagger().tag_sent(tokens)
  kept = []
  start = 0
  for i, (word, _, tag) in enumerate([*tagged, (".", ".", "")]):
    if tag.startswith("CJ") or not word[0].isalnum():
      kept += _clause(tagged[start:i])
      start = i + 1
  return tuple(dict.fromkeys(lemma.lower() for lemma in kept))[:MOST]


def _clause(tagged: list[tuple[str, str, str]]) -> list[str]:
  """The lemmas of the nouns between two conjunctions or commas."""
  tags = [tag for _, _, tag in tagged]
  found = [i for i, tag in enumerate(tags) if tag.startswith("N")]
  finite = [
    tag for tag in tags if tag[:1] == "V" and not tag.startswith(_PARTICIPLES)
  ]
  first = next(
    (i for i, tag in enumerate(tags) if not tag.startswith(_BEFORE)), len(tags)
  )
  last = first
  while last in found:
    last += 1
  if not finite and last - first > 1:
    words = [word for word, _, _ in tagged]
    verb = words[last - 1]
    third_person = verb.endswith("s") and not verb.endswith("ss")
    # "birds chirp", "a dog barks"; but "a bus stop" and "church bells".
    if third_person != (tags[last - 2] == "NN2") and (
      not third_person or _ONE.intersection(words[:first]) or _acts(verb)
    ):
      found.remove(last - 1)
  return [tagged[i][1] for i in found]


def _acts(word: str) -> bool:
  """Whether, on its own, it is about as likely a verb as a noun."""
  known = _tagger().tag_word(word, cutoff=2 * _VERB)
  noun, verb = (
    max((odds for tag, odds in known if tag in among), default=-math.inf)
    for among in (("NN1", "NN2"), ("VVB", "VVZ"))
  )
  return bool(verb > noun - _VERB)


class _Unpickler(pickle.Unpickler):
  """Reads plain containers and NumPy's numbers, and runs nothing."""

  def find_class(self, module: str, name: str) -> Any:
    if (module, name) in (
      ("numpy", "dtype"),
      ("numpy._core.multiarray", "scalar"),
    ):
      return super().find_class(module, name)
    raise pickle.UnpicklingError(f"{module}.{name} is no number")


@functools.cache
def _tagger() -> Any:
  package = importlib.util.find_spec("HanTa")
  if package is None:
    raise errors.InputError(
      "HanTa", "the tagger is not installed: run `pip install HanTa==1.2.1`"
    )
  # No wait where no noun is asked for.
  from HanTa import HanoverTagger

  folder = pathlib.Path(package.origin).parent
  with gzip.open(folder / _MODEL) as file:
    tagger = HanoverTagger.HanoverTagger(None, _Unpickler(file).load())
  # As its own loading of a file leaves it: words that it never saw have tags.
  tagger.strict = False
  return tagger
