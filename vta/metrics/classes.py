"""What a sound is, by a classifier's logits: divergences, Inception Score.

Three divergences go by the name KL and differ in direction, in floor and in
what makes logits probabilities; a table says which one and of which extractor.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import scipy.special
from jaxtyping import Float

_EPSILON = 1e-6

Logits = Float[np.ndarray, "n k"]


def kl_av_benchmark(
  truth: Logits, generated: Float[np.ndarray, "m k2"]
) -> float:
  """KL(truth | generated) of softmaxes, mean over clips, nats.

  hkchengrex/av-benchmark, metrics/kl.py: logarithms by log-softmax on either
  side, no floor.

  Args:
    truth: per clip.
    generated: the same clips in the same order.

  Raises:
    ValueError: the shapes differ.
  """
  _check_same(truth, generated)
  right = scipy.special.log_softmax(truth.astype(np.float64), axis=1)
  found = scipy.special.log_softmax(generated.astype(np.float64), axis=1)
  return float((np.exp(right) * (right - found)).sum(axis=1).mean())


def kl_sigmoid(truth: Logits, generated: Float[np.ndarray, "m k2"]) -> float:
  """The same of sigmoids: sum over classes of p log(p / (q + 1e-6)).

  AudioLDM's evaluation, kl_sigmoid: for a clip of which several classes are
  true. Sigmoids do not sum to one, so it may be negative.

  Raises:
    ValueError: the shapes differ.
  """
  _check_same(truth, generated)
  right = scipy.special.expit(truth.astype(np.float64))
  found = scipy.special.expit(generated.astype(np.float64))
  return float(_divergence(right, found + _EPSILON).sum(axis=1).mean())


def kl_stable_audio(
  truth: Sequence[Float[np.ndarray, "_ k"]],
  generated: Sequence[Float[np.ndarray, "_ k"]],
) -> float:
  """KL(generated | truth) of clips of any length, mean over clips, nats.

  Stability-AI/stable-audio-metrics, passt_kld.py: a clip's windows' logits are
  averaged, then softmaxed; 1e-6 is added to the truth's. The other direction
  than av-benchmark's.

  Args:
    truth: per clip, its windows' logits; for PaSST 10 s every 5 s.
    generated: likewise; the numbers of windows may differ.

  Raises:
    ValueError: not as many clips, or none.
  """
  if len(truth) != len(generated) or not len(truth):
    raise ValueError(f"{len(truth)} and {len(generated)} clips")

  def probabilities(windows):
    return scipy.special.softmax(windows.astype(np.float64).mean(axis=0))

  return float(
    np.mean(
      [
        _divergence(probabilities(y), probabilities(x) + _EPSILON).sum()
        for x, y in zip(truth, generated, strict=True)
      ]
    )
  )


def inception_score(generated: Logits, *, splits: int = 10) -> float:
  """Sure of each clip, and of many classes: 1 to the number of classes.

  Salimans et al. 2016 as av-benchmark has it (metrics/isc.py): shuffled by
  RandomState(2020), exp of the mean KL(p | mean p) in each of ten parts, their
  mean. Parts of few clips cannot show many classes: compare equal numbers.

  Raises:
    ValueError: fewer clips than parts.
  """
  if len(generated) < splits:
    raise ValueError(f"{len(generated)} clips in {splits} parts")
  # The published shuffle, so that the parts are the same.
  order = np.random.RandomState(2020).permutation(len(generated))
  logs = scipy.special.log_softmax(generated[order].astype(np.float64), axis=1)
  edges = np.arange(splits + 1) * len(logs) // splits
  scores = []
  for begin, end in itertools.pairwise(edges):
    part = logs[begin:end]
    likely = np.exp(part)
    against = part - np.log(likely.mean(axis=0))
    scores.append(np.exp((likely * against).sum(axis=1).mean()))
  return float(np.mean(scores))


def _divergence(p, q):
  return scipy.special.xlogy(p, p) - p * np.log(q)


def _check_same(truth, generated):
  if truth.shape != generated.shape:
    raise ValueError(f"shapes {truth.shape} and {generated.shape} differ")
