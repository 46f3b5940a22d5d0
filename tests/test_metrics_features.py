"""Distances of feature sets against torch, SciPy and sums written out."""

import numpy as np
import pytest
import scipy.linalg
import torch
from sklearn.metrics.pairwise import polynomial_kernel

from vta.metrics import classes, frechet, kernel, similarity


def _sets(rows=60, width=12, seed=0):
  rng = np.random.default_rng(seed)
  first = rng.normal(size=(rows, width)) @ rng.normal(size=(width, width))
  return first, rng.normal(0.5, 2.0, (rows - 7, width))


def _published_fd(first, second):
  """av-benchmark's steps: np.cov, sqrtm of the product, its real part."""
  one, other = np.cov(first, rowvar=False), np.cov(second, rowvar=False)
  root = scipy.linalg.sqrtm(one @ other)
  assert np.abs(np.diagonal(root).imag).max() < 1e-3
  apart = np.square(first.mean(axis=0) - second.mean(axis=0)).sum()
  return apart + np.trace(one) + np.trace(other) - 2 * np.trace(root.real)


def test_frechet_is_av_benchmarks_where_that_is_defined():
  """Down to as many rows as features, and to float32 features of any scale."""
  for rows, width in ((400, 24), (70, 40)):
    first, second = _sets(rows, width)
    expected = _published_fd(first, second)
    assert frechet.distance(first, second) == pytest.approx(expected, rel=1e-6)
  small = (1e-3 * first).astype(np.float32), (1e-3 * second).astype(np.float32)
  assert frechet.distance(*small) == pytest.approx(1e-6 * expected, rel=1e-3)


def test_frechet_of_few_rows_keeps_its_digits():
  """Known: two sets that are one set in two sizes, rows fewer than features."""
  rng = np.random.default_rng(1)
  few = rng.normal(size=(9, 200))
  few -= few.mean(axis=0)
  # tr(S + 9 S - 2 * 3 S) = 4 tr S, and the means agree.
  expected = 4 * np.square(few).sum() / 8
  assert frechet.distance(few, 3 * few) == pytest.approx(expected, rel=1e-9)
  # The published steps still come near, within what is asked of ours.
  other = rng.normal(size=(12, 200))
  assert frechet.distance(few, other) == pytest.approx(
    _published_fd(few, other), rel=1e-3
  )


def test_kid_is_the_sum_over_pairs():
  first, second = _sets()
  kernels = {"degree": 3, "gamma": None, "coef0": 1}
  xx = polynomial_kernel(first, **kernels)
  yy = polynomial_kernel(second, **kernels)
  xy = polynomial_kernel(first, second, **kernels)
  pairs = [np.mean(k[~np.eye(len(k), dtype=bool)]) for k in (xx, yy)]
  expected = pairs[0] + pairs[1] - 2 * xy.mean()
  assert kernel.kid(first, second) == pytest.approx(expected, rel=1e-9)


def test_kad_is_kadtks_formula_in_torch():
  first, second = _sets()
  x, y = torch.tensor(first), torch.tensor(second)
  bandwidth = torch.median(torch.pdist(x))
  gamma = 1 / (2 * bandwidth**2 + 1e-8)
  total = 0.0
  for a, b, weight in ((x, x, 1), (y, y, 1), (x, y, -2)):
    values = torch.exp(-gamma * torch.cdist(a, b) ** 2)
    if weight == 1:
      values.fill_diagonal_(0)
      total += values.sum() / (len(a) * (len(a) - 1))
    else:
      total -= 2 * values.mean()
  assert kernel.kad(first, second) == pytest.approx(
    100 * total.item(), rel=1e-5
  )
  # The reference's width counts: it is not symmetric.
  assert kernel.kad(first, second) != pytest.approx(kernel.kad(second, first))


def test_kernel_distances_are_unbiased():
  """Of sets from one distribution: around zero, so on both sides of it."""
  rng = np.random.default_rng(2)
  for distance in (kernel.kid, kernel.kad):
    values = [
      distance(rng.normal(size=(40, 6)), rng.normal(size=(30, 6)))
      for _ in range(60)
    ]
    error = np.std(values) / np.sqrt(len(values))
    assert abs(np.mean(values)) < 3 * error
    assert min(values) < 0 < max(values)
  alike = np.ones((4, 6))
  assert kernel.kad(alike, alike) == pytest.approx(0.0)
  with pytest.raises(ValueError, match="no pairs"):
    kernel.kid(alike, alike[:1])


def _logits(clips=23, count=17, seed=0):
  rng = np.random.default_rng(seed)
  return (4 * rng.normal(size=(2, clips, count))).astype(np.float32)


def test_kl_is_av_benchmarks():
  truth, made = _logits()
  x, y = torch.tensor(truth).double(), torch.tensor(made).double()
  expected = torch.nn.functional.kl_div(
    y.log_softmax(1), x.log_softmax(1), log_target=True, reduction="sum"
  ) / len(x)
  assert classes.kl_av_benchmark(truth, made) == pytest.approx(
    expected.item(), rel=1e-5
  )


def test_kl_of_sigmoids_is_audioldms():
  truth, made = _logits(seed=1)
  x, y = torch.tensor(truth).double(), torch.tensor(made).double()
  expected = torch.nn.functional.kl_div(
    (y.sigmoid() + 1e-6).log(), x.sigmoid(), reduction="sum"
  ) / len(x)
  assert classes.kl_sigmoid(truth, made) == pytest.approx(
    expected.item(), rel=1e-5
  )


def test_kl_of_stable_audio_averages_windows_and_looks_the_other_way():
  rng = np.random.default_rng(3)
  truth = [3 * rng.normal(size=(n, 9)) for n in (1, 2, 5)]
  made = [3 * rng.normal(size=(n, 9)) for n in (2, 1, 5)]
  total = 0.0
  for x, y in zip(truth, made, strict=True):
    right = torch.tensor(x).mean(0).softmax(0)
    found = torch.tensor(y).mean(0).softmax(0)
    total += torch.nn.functional.kl_div(
      (right + 1e-6).log(), found, reduction="sum"
    ).item()
  assert classes.kl_stable_audio(truth, made) == pytest.approx(
    total / 3, rel=1e-9
  )
  single = [x[:1] for x in truth], [y[:1] for y in made]
  other_way = classes.kl_av_benchmark(
    np.concatenate(single[1]), np.concatenate(single[0])
  )
  # Within what the floor of 1e-6 takes off.
  assert classes.kl_stable_audio(*single) == pytest.approx(other_way, rel=1e-2)


def test_inception_score_is_av_benchmarks_loop():
  made = _logits(clips=57, seed=4)[1]
  logits = torch.tensor(made)[np.random.RandomState(2020).permutation(57)]
  p, log_p = logits.double().softmax(1), logits.double().log_softmax(1)
  scores = []
  for i in range(10):
    part = slice(i * 57 // 10, (i + 1) * 57 // 10)
    q = p[part].mean(0, keepdim=True)
    kl = (p[part] * (log_p[part] - q.log())).sum(1).mean()
    scores.append(kl.exp().item())
  assert classes.inception_score(made) == pytest.approx(
    np.mean(scores), rel=1e-5
  )


def test_inception_score_of_known_sets():
  sure = 100 * np.eye(8)
  assert classes.inception_score(sure, splits=1) == pytest.approx(8.0)
  assert classes.inception_score(0 * sure, splits=1) == pytest.approx(1.0)
  with pytest.raises(ValueError, match="8 clips in 10 parts"):
    classes.inception_score(sure)


def test_cosine_is_torchs():
  first, second = np.random.default_rng(5).normal(size=(2, 6, 11))
  expected = torch.nn.functional.cosine_similarity(
    torch.tensor(first), torch.tensor(second)
  )
  np.testing.assert_allclose(
    similarity.cosine(first, second), expected.numpy(), atol=1e-12
  )
  np.testing.assert_array_equal(similarity.cosine(0 * first, second), 0.0)


def test_clap_top_counts_who_wins():
  scores = np.array([[0.5, 0.1, 0.3, 0.2], [0.4, 0.2, 0.3, 0.1]])
  np.testing.assert_allclose(similarity.clap_top(scores), [0.625, 0.375])
  with pytest.raises(ValueError, match="finite"):
    similarity.clap_top(np.array([[np.nan], [1.0]]))


def test_unlike_shapes_are_refused():
  for score in (classes.kl_av_benchmark, classes.kl_sigmoid, similarity.cosine):
    with pytest.raises(ValueError, match="differ"):
      score(np.zeros((3, 4)), np.zeros((3, 5)))
  with pytest.raises(ValueError, match="0 and 0 clips"):
    classes.kl_stable_audio([], [])
