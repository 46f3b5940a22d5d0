"""The yard suite against oracles: true sound scores high, wrong sound low."""

import numpy as np
import pytest
import tiny_release

from vta.data.yard import sound, stage
from vta.evaluation import material, stand, yard
from vta.evaluation import rows as rows_lib
from vta.inference import generator


class Oracle(stand.Stand):
  """A stand whose generator hands back what `answer` makes of a clip."""

  def __init__(self, answer):
    made = generator.Generator(tiny_release.folder())
    super().__init__(made, made.settings, clips=4, seeds=(0, 1))
    self._answer = answer

  def generate(self, clips, track, *, pictures=True, afresh=False):
    return [[self._answer(clip)] * 2 for clip in clips]


def rows(answer, test):
  suite = yard.YardSuite(Oracle(answer))
  return {row.name: row for row in getattr(suite, test)()}


def true_sound(clip):
  return clip.heard.wave


def swapped(clip):
  return np.ascontiguousarray(clip.heard.wave[:, ::-1])


def softer(clip):
  return clip.heard.wave * np.float32(10 ** (-6 / 20))


def test_pan_of_true_and_of_swapped_sound():
  name = "pan sign right, picture alone"
  assert rows(true_sound, "_pan")[name].mean == 1.0
  assert rows(swapped, "_pan")[name].mean == 0.0


def test_loudness_of_true_and_of_softer_sound():
  name = "LUFS error, picture and curve"
  assert rows(true_sound, "_loudness")[name].mean < 1e-6
  # Six decibels everywhere, but for blocks at the floor.
  assert rows(softer, "_loudness")[name].mean == pytest.approx(6.0, abs=0.7)
  correlation = "LUFS correlation, picture and curve"
  assert rows(softer, "_loudness")[correlation].mean > 0.95


def test_sync_of_true_sound_is_the_detectors_limit():
  made = rows(true_sound, "_sync")
  right = made["onset F1 +-0.1 s, picture alone"].mean
  assert right == made["onset F1 of the true sound (the detector's limit)"].mean
  assert right > made["onset F1, shuffled videos"].mean + 0.2


def test_silence_has_no_events():
  def silent(clip):
    return np.zeros_like(clip.heard.wave)

  made = rows(silent, "_events")
  assert made["event IoU, text and events"].mean == 0.0
  assert made["event IoU of the true sound"].mean > 0.5


def test_masked_out_energy_falls_when_its_stem_does():
  def without_the_other(clip):
    return clip.heard.stems[0]

  name = "masked-out source, mask on the other"
  alone = rows(without_the_other, "_masks")[name].mean
  both = rows(true_sound, "_masks")[name].mean
  assert alone < both - 10.0


def test_materials_are_told_apart():
  def draw(seed, each):
    sounds, labels, index = [], [], 0
    while min(labels.count(m) for m in yard._MATERIALS) < each:
      staged = stage.sample_scene(seed, index, duration=2.0)
      index += 1
      if yard._one_strike(staged):
        label = staged.sources[0].material
        if labels.count(label) < each:
          sounds.append(sound.render_sound(staged).wave)
          labels.append(label)
    return sounds, labels

  classifier = material.fit(*draw(1, 12))
  sounds, labels = draw(2, 4)
  right = [
    classifier.classify(wave) == label
    for wave, label in zip(sounds, labels, strict=True)
  ]
  assert np.mean(right) >= 0.75
  assert classifier.classify(np.zeros((44_100, 2), np.float32)) is None


def test_the_table_states_counts_and_intervals():
  row = rows_lib.Row(
    name="thing", unit="dB", values=(1.0, 2.0, np.nan, 3.0), aim="<= 3"
  )
  low, high = row.interval()
  assert 1.0 <= low < 2.0 < high <= 3.0
  assert "| thing | 2 dB | " in rows_lib.table([row])
  assert "| <= 3 | 3 | 1 |" in rows_lib.table([row])
