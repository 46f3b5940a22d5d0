"""A release of the public layout scores clips by text, as long as they are."""

import dataclasses

import numpy as np
import pytest
import tiny_stable_audio

from vta import errors
from vta.inference import generator as generator_lib
from vta.inference import job as job_lib
from vta.inference import windows
from vta.signals import cues, loudness


@pytest.fixture(scope="module")
def generator():
  return generator_lib.Generator(tiny_stable_audio.folder())


def generate(generator, duration, *tracks):
  settings = dataclasses.replace(generator.settings, steps=3, solver="dpm")
  jobs = [
    job_lib.Job(duration=duration, frames=None, track=track, seed=0)
    for track in tracks
  ]
  return generator.generate(jobs, settings)


@pytest.mark.parametrize("duration", [1.0, 2.3])
def test_the_length_is_exact(generator, duration):
  (wave,) = generate(generator, duration, cues.Track(text="a dog"))
  assert wave.shape == (round(duration * 44_100), 2)
  assert np.isfinite(wave).all()


def test_both_prompts_are_heard(generator):
  prompt = "a small metal ball"
  nothing, text, negative = generate(
    generator,
    1.0,
    cues.Track(),
    cues.Track(text=prompt),
    cues.Track(negative_text=prompt),
  )
  scale = np.abs(nothing).max()
  assert np.abs(text - nothing).max() > 1e-3 * scale
  assert np.abs(negative - nothing).max() > 1e-3 * scale
  assert np.abs(negative - text).max() > 1e-3 * scale


def test_every_window_knows_where_it_is(generator):
  job = job_lib.Job(duration=2.3, frames=None, track=cues.Track(), seed=0)
  cover = windows.cover(50, size=24)
  rows, nulls = generator.reader.inputs(job, cover)
  starts = [first * 2048 / 44_100 for first in cover.starts]
  expected = [[start, 2.3] for start in starts]
  found = [row["timing"] for row in rows]
  np.testing.assert_allclose(found, expected, rtol=1e-6)
  assert all(row["valid"].all() for row in rows)
  assert not any(null["asked"].any() for null in nulls)


def test_what_it_has_no_place_for_is_refused(generator):
  curve = loudness.Loudness(times=np.array([0.0]), lufs=np.full((1, 2), -20.0))
  with pytest.raises(errors.InputError, match="tracks: loudness: a stable_aud"):
    generate(generator, 1.0, cues.Track(loudness=curve))
