"""Foley's onset scores against librosa, scikit-learn and mir_eval."""

import librosa
import mir_eval
import numpy as np
import pytest
import sklearn.metrics

from vta.metrics import foley_onsets as foley
from vta.metrics import intervals

RATE = foley.RATE


def _impacts(times, levels=None, seconds=2.0):
  at = np.arange(int(seconds * RATE)) / RATE
  wave = np.zeros_like(at)
  for time, level in zip(times, levels or [0.4] * len(times), strict=True):
    since = np.maximum(at - time, 0)
    wave += level * np.exp(-40 * since) * np.sin(6000 * since)
  return wave


def _samples(*times):
  return (np.array(times) * RATE).astype(np.int64)


def test_detection_is_librosas_on_mono_at_22050():
  stereo = np.repeat(_impacts([0.2, 0.9, 1.4], seconds=3.0), 2)
  stereo = np.stack([stereo, 0.2 * stereo], axis=1)
  wave = foley.mono(stereo, rate=2 * RATE)
  assert len(wave) == 2 * RATE
  found = foley.detect(wave)
  expected = librosa.onset.onset_detect(y=wave, sr=RATE, delta=0.3)
  np.testing.assert_array_equal(found, 512 * expected)
  np.testing.assert_allclose(found / RATE, [0.2, 0.9, 1.4], atol=0.03)


@pytest.mark.parametrize(
  ("variant", "tolerance"), [("condfoleygen", 0.1), ("mmaudio", 0.3)]
)
def test_scores_of_a_hit_a_miss_and_a_leftover(variant, tolerance):
  wave = _impacts([0.3, 1.0, 1.7], [0.4, 0.2, 0.3])
  level = np.abs(wave) if variant == "condfoleygen" else wave
  level = (level - level.min()) / np.ptp(level)
  estimated = _samples(0.3, 1.0, 1.7)
  truth = _samples(0.3 + 0.9 * tolerance, 1.3 + tolerance)
  ours = foley.score(truth, estimated, wave, variant=variant)
  around = int(0.05 * RATE)
  first, second, third = (
    level[k - around : k + around].max() for k in estimated
  )
  # The second onset of the truth is out of reach of any in condfoleygen, and
  # takes the third, 0.1 s away, in mmaudio.
  if variant == "condfoleygen":
    rows = ((1, first), (1, 0.0), (0, second), (0, third))
  else:
    rows = ((1, first), (1, third), (0, second))
  expected = sklearn.metrics.average_precision_score(*zip(*rows, strict=True))
  hits = 1 if variant == "condfoleygen" else 2
  assert ours.average_precision == pytest.approx(expected)
  assert (ours.hits, ours.reference, ours.estimated) == (hits, 2, 3)
  assert ours.accuracy == hits / 2
  assert ours.f1 == pytest.approx(2 * hits / 5)
  assert not ours.same_count


def test_f1_is_mir_evals_where_windows_do_not_meet():
  rng = np.random.default_rng(0)
  for _ in range(20):
    slots = np.arange(0.15, 1.9, 0.3)
    right = slots[rng.random(len(slots)) < 0.7]
    found = slots[rng.random(len(slots)) < 0.7]
    found = found + rng.choice([-0.12, 0.02, 0.08], len(found))
    if not len(right) * len(found):
      continue
    wave = _impacts(found)
    ours = foley.score(
      _samples(*right), _samples(*found), wave, variant="condfoleygen"
    )
    f1, _, recall = mir_eval.onset.f_measure(right, np.sort(found), window=0.1)
    # All are kept and none is left over early: the oddities do not show.
    assert ours.f1 == pytest.approx(f1)
    assert ours.accuracy == pytest.approx(recall)


def test_of_two_close_onsets_the_louder_is_kept():
  wave = _impacts([0.5, 0.54, 1.5], [0.1, 0.4, 0.3])
  close = _samples(0.5, 0.54, 1.5)
  ours = foley.score(_samples(0.5, 1.5), close, wave, variant="condfoleygen")
  assert (ours.hits, ours.estimated, ours.f1) == (2, 3, 1.0)


def test_the_variants_weigh_a_wave_and_its_absolute_value():
  """A loud impact that only pulls, which MMAudio takes for a soft one."""
  wave = _impacts([1.5], [0.2])
  wave[RATE // 2 : RATE // 2 + 500] = -0.4
  right, both = _samples(0.5), _samples(0.5, 1.5)
  values = [
    foley.score(right, both, wave, variant=variant).average_precision
    for variant in ("condfoleygen", "mmaudio")
  ]
  assert values == [1.0, 0.5]


def test_the_oddities_are_the_published_ones():
  wave = _impacts([0.5])
  one, two = _samples(0.5), _samples(0.5, 1.5)
  none = np.zeros(0, np.int64)
  # What is missed does not count in AP where nothing is wrong...
  late = foley.score(two, one, wave, variant="condfoleygen")
  assert (late.accuracy, late.average_precision) == (0.5, 1.0)
  # ... and silence has a perfect one.
  silent = foley.score(two, none, 0 * wave, variant="condfoleygen")
  assert (silent.accuracy, silent.average_precision) == (0.0, 1.0)
  extra = foley.score(none, one, wave, variant="condfoleygen")
  assert (extra.accuracy, extra.average_precision, extra.f1) == (0, 0, 0)
  empty = foley.score(none, none, wave, variant="condfoleygen")
  assert np.isnan(empty.average_precision)
  # Its first 50 ms, where the published code stops.
  early = foley.score(none, _samples(0.01), wave, variant="condfoleygen")
  assert early.average_precision == 0


def test_time_accuracy_counts_events():
  right, found = np.array([2, 0, 5, 1]), np.array([2, 0, 4, 3])
  assert intervals.time_accuracy(right, found) == 0.5
  assert np.isnan(intervals.time_accuracy(right[:0], found[:0]))
  with pytest.raises(ValueError, match="clips"):
    intervals.time_accuracy(right, found[:2])
