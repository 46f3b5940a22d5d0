"""What sounds on and on: VGGSound-Continuous' filter, and the yard's."""

import numpy as np

from vta.data import continuous
from vta.data.yard import record as yard_record
from vta.data.yard import stage


def test_the_list_of_what_sounds_on():
  for label in ("ambulance siren", "Airplane flyby", " lawn  mowing", "rain"):
    assert continuous.is_continuous(label), label
  for label in ("dog barking", "playing piano", "birds", "ball", "siren song"):
    assert not continuous.is_continuous(label), label


def test_grounded_is_above_a_half_for_more_than_six_tenths():
  similarity = np.array([0.9] * 6 + [0.5] * 4)
  assert not continuous.grounded(similarity)
  assert continuous.grounded(np.append(similarity, [0.51]))
  assert continuous.grounded(similarity, share=0.5)
  assert not continuous.grounded(np.zeros(0))


def test_continuous_scenes_sound_all_the_time():
  drawn = [stage.sample_scene(7, i, duration=4.0) for i in range(150)]
  kept = [staged for staged in drawn if continuous.is_continuous_scene(staged)]
  assert 8 <= len(kept) <= 40
  for staged in kept[:3]:
    sounding = yard_record.record(staged, pictures=False).arrays
    # What comes from afar is faint at first.
    assert np.all(sounding["object_sounding"].mean(axis=0) > 0.4)
  silent = next(staged for staged in drawn if not staged.sources)
  assert not continuous.is_continuous_scene(silent)
