"""Every metric falls, grade by grade, under what it claims to hear."""

import numpy as np
import pytest

from benchmarks import damage, heard

# A slight and a heavy grade of each.
GRADES = {
  "noise": (20, 0),
  "low-pass": (4000, 300),
  "shift": (0.05, 0.22),
  "channels": (0.5, 1),
  "reversal": (0.1, 4),
  "gain": (-6, -24),
}


@pytest.fixture(scope="module")
def table():
  return heard.measure(
    damage.make_clips(1),
    GRADES,
    wanted=lambda metric, name: name in f"{metric.hears} {metric.deaf}".split(),
  )


@pytest.mark.parametrize("metric", heard.METRICS, ids=lambda m: m.name)
def test_it_gets_worse_with_the_damage(table, metric):
  assert metric.hears
  for name in metric.hears.split():
    values = np.array(table[metric.name][name])
    worse = -np.diff(values) if metric.higher else np.diff(values)
    assert np.isfinite(values).all(), name
    # What is at its worst may stay there.
    assert (worse >= 0).all(), (name, values)
    assert worse.sum() > 1e-3 * np.abs(values).max(), (name, values)


@pytest.mark.parametrize(
  "metric", [m for m in heard.METRICS if m.deaf], ids=lambda m: m.name
)
def test_it_does_not_hear_what_it_is_said_not_to(table, metric):
  for name in metric.deaf.split():
    values = table[metric.name][name]
    np.testing.assert_allclose(values, values[0], atol=1e-6, err_msg=name)


def test_nothing_is_heard_and_not_heard():
  names = {d.name for d in damage.DAMAGES}
  for metric in heard.METRICS:
    hears, deaf = set(metric.hears.split()), set(metric.deaf.split())
    assert not hears & deaf
    assert hears | deaf <= names
