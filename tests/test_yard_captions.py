"""The yard's captions: true, varied, and held out where they say so."""

import string

import numpy as np
import pytest

from vta.data import yard
from vta.data.yard import phrases, things


def _drawn(make, scenes, **options):
  rng = np.random.default_rng(0)
  return [make(staged, rng=rng, **options) for staged in scenes]


@pytest.fixture(scope="module")
def scenes():
  return [yard.sample_scene(12, index, duration=2.0) for index in range(150)]


def test_every_thing_has_words():
  assert set(phrases.PHRASES) == set(things.THINGS)
  for words in phrases.PHRASES.values():
    pairs = len(words.subjects) * len(words.actions) + len(words.short)
    assert pairs >= 12
    assert len(words.held_out) >= 2
  materials = {m for t in things.THINGS.values() for m in t.materials}
  assert set(phrases.MADE) == set(phrases.STUFF) == materials
  assert set(phrases.HELD_OUT_STUFF) == materials


def test_captions_are_clean_and_reproducible(scenes):
  one = _drawn(yard.captions, scenes, count=3)
  assert one == _drawn(yard.captions, scenes, count=3)
  allowed = set(string.ascii_lowercase + " ,-:")
  for several in one + _drawn(yard.held_out_captions, scenes, count=2):
    for caption in several:
      assert set(caption) <= allowed, caption
      assert caption == caption.strip(" ,")
      assert "  " not in caption
      assert " ," not in caption


def test_a_scene_has_many_paraphrases(scenes):
  rng = np.random.default_rng(0)
  for staged in scenes[:12]:
    if staged.sources:
      assert len(set(yard.captions(staged, rng=rng, count=60))) >= 10


def test_held_out_captions_use_words_never_trained_on(scenes):
  trained = set()
  for several in _drawn(yard.captions, scenes, count=12):
    for caption in several:
      trained |= set(caption.replace(",", "").split())
  for several in _drawn(yard.held_out_captions, scenes, count=6):
    for caption in several:
      assert set(caption.replace(",", "").split()) - trained, caption


def test_no_held_out_noun_leaks_into_training():
  train = " ".join(
    text
    for words in phrases.PHRASES.values()
    for text in (*words.subjects, *words.actions, *words.short)
  )
  vocabulary = set(train.replace(",", "").split())
  for thing, words in phrases.PHRASES.items():
    for text in words.held_out:
      assert len(set(text.replace(",", "").split()) - vocabulary) >= 1, thing
  for word in (
    *phrases.HELD_OUT_SIZES.values(),
    *phrases.HELD_OUT_STUFF.values(),
  ):
    assert word not in vocabulary


def test_captions_name_the_material_and_the_side(scenes):
  rng = np.random.default_rng(1)
  for staged in scenes:
    for index, source in enumerate(staged.sources):
      for caption in yard.captions(staged, [index], rng=rng, count=6):
        off = any(words in caption for words in phrases.OFF_SCREEN)
        assert off == (not source.on_screen), caption
        if source.thing == "bell" or source.material is None:
          continue
        names = (
          *phrases.MADE[source.material],
          *phrases.STUFF[source.material],
        )
        assert any(name in caption for name in names), caption


def test_direction_words_are_true():
  rng = np.random.default_rng(2)
  said = 0
  for index in range(150):
    staged = yard.sample_scene(13, index)
    for k, source in enumerate(staged.sources):
      if source.kind != "moving" or not source.on_screen:
        continue
      start, end = source.intervals[0]
      times = np.array([start, end])
      x = staged.place(source, times).x
      for caption in yard.captions(staged, [k], rng=rng, count=3):
        if "to the right" in caption:
          assert x[1] > x[0]
          said += 1
        if "to the left" in caption:
          assert x[1] < x[0]
          said += 1
  assert said > 20


def test_silence_is_said():
  staged = next(
    s for s in (yard.sample_scene(3, i) for i in range(60)) if not s.sources
  )
  rng = np.random.default_rng(0)
  assert set(yard.captions(staged, rng=rng)) <= set(phrases.SILENCE)
  assert set(yard.held_out_captions(staged, rng=rng)) <= set(
    phrases.HELD_OUT_SILENCE
  )
