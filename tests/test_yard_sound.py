"""The yard's sound: in sync, in place, in tune, at level, and silent if not."""

import dataclasses

import numpy as np
import pytest

from vta.data import yard
from vta.data.yard import modal, scene, sound, things
from vta.signals import timing

RATE = timing.SAMPLE_RATE


def _scenes(seed, count, **options):
  return [yard.sample_scene(seed, i, **options) for i in range(count)]


def _only(staged, source):
  return dataclasses.replace(staged, sources=(source,))


def test_sound_is_a_function_of_the_scene():
  one, two = (
    yard.render_sound(yard.sample_scene(1, 4, duration=2.0)) for _ in range(2)
  )
  assert len(one.stems)
  np.testing.assert_array_equal(one.stems, two.stems)
  other = yard.render_sound(yard.sample_scene(1, 6, duration=2.0))
  assert not np.array_equal(one.wave, other.wave)


def test_wave_is_the_sum_of_stems_below_full_scale():
  for staged in _scenes(2, 8):
    heard = yard.render_sound(staged)
    assert heard.wave.shape == (round(staged.duration * RATE), 2)
    assert heard.stems.shape == (len(staged.sources), *heard.wave.shape)
    assert heard.wave.dtype == heard.stems.dtype == np.float32
    np.testing.assert_allclose(heard.stems.sum(axis=0), heard.wave, atol=1e-6)
    assert np.abs(heard.wave).max(initial=0.0) <= sound.PEAK + 1e-6


def test_silent_scenes_are_silent():
  silent = [s for s in _scenes(3, 60, duration=1.0) if not s.sources]
  assert silent
  for staged in silent:
    assert not yard.render_sound(staged).wave.any()


def test_nothing_sounds_before_its_first_event():
  checked = 0
  for staged in _scenes(4, 24, duration=3.0):
    heard = yard.render_sound(staged)
    for source, stem in zip(staged.sources, heard.stems, strict=True):
      firsts = [*source.contacts[:1], *source.intervals[:1, 0]]
      first = round(min(firsts) * RATE)
      assert not stem[:first].any()
      checked += first > 0
      if len(source.contacts) and not len(source.intervals):
        # Loudest within 20 ms at a contact: 1 % of the peak is heard at once.
        loud = np.abs(stem).max(axis=-1)
        at = loud[first : first + int(0.02 * RATE)].max()
        assert at > 0.01 * loud.max()
  assert checked > 12


def test_energy_rises_within_20_ms_of_each_onset():
  checked = 0
  window = int(0.02 * RATE)
  for staged in _scenes(5, 20, duration=3.0):
    for index, source in enumerate(staged.sources):
      alone = _only(staged, source)
      stem = yard.render_sound(alone).wave.astype(np.float64)
      onsets = yard.onsets(staged, [index])
      # A soft strike on a ringing body adds little; ask it of the others.
      strength = np.ones(len(onsets))
      if len(source.contacts) == len(onsets):
        strength = source.strengths
      for k, onset in enumerate(onsets):
        if k and strength[k] < 0.9 * strength[:k].max():
          continue
        if source.thing == "train":
          continue  # its rumble never stops
        at = round(onset * RATE)
        before = np.mean(stem[max(at - window, 0) : at] ** 2) if at else 0.0
        after = np.mean(stem[at : at + window] ** 2)
        assert after > 2.0 * before, (staged.index, source.thing, onset)
        checked += 1
  assert checked > 30


def test_left_is_left():
  checked = 0
  for staged in _scenes(6, 30, duration=1.5):
    heard = yard.render_sound(staged)
    for index, stem in enumerate(heard.stems):
      power = np.sum(stem.astype(np.float64) ** 2, axis=-1)
      if not power.any():
        continue
      times = (np.arange(len(stem)) + 0.5) / RATE
      pan = yard.pan(staged, index, times)
      wide = staged.sources[index].thing in ("wind", "rain", "stream")
      loud = power > 1e-3 * power.max()
      if wide or np.abs(pan[loud]).min() < 0.05:
        continue
      # Equal power: left^2 = power cos^2 with the angle of the pan.
      left = np.sum(stem[loud, 0].astype(np.float64) ** 2)
      right = np.sum(stem[loud, 1].astype(np.float64) ** 2)
      assert np.sign(right - left) == np.sign(pan[loud].mean())
      angle = (pan[loud] + 1.0) * np.pi / 4.0
      share = np.sum(power[loud] * np.cos(angle) ** 2) / power[loud].sum()
      assert left / (left + right) == pytest.approx(share, abs=0.01)
      checked += 1
  assert checked > 12


def test_distance_halves_the_amplitude():
  staged = next(
    s
    for s in _scenes(7, 50)
    if len(s.sources) == 1 and s.sources[0].contacts.size
  )
  still = scene.Camera(
    start=(0.0, 0.0),
    end=(0.0, 0.0),
    zoom=(1.0, 1.0),
    shake=0.0,
    rates=(1.0, 1.0),
    phases=(0.0, 0.0),
    duration=staged.duration,
  )
  peaks = []
  for z in (8.0, 16.0):
    route = scene.Route(
      times=np.zeros(1),
      points=np.array([[0.0, scene.EYE, z]]),
      bends=np.zeros((0, 3)),
    )
    source = dataclasses.replace(staged.sources[0], route=route, level_db=-30.0)
    moved = dataclasses.replace(staged, sources=(source,), camera=still)
    peaks.append(np.abs(yard.render_sound(moved).wave).max())
  assert peaks[0] / peaks[1] == pytest.approx(2.0, rel=1e-4)


def test_doppler_moves_pitch():
  """The whine of a plane at 30 m/s falls by (c - v) / (c + v) as it passes."""
  staged, source = next(
    (staged, source)
    for staged in _scenes(8, 120, duration=4.0)
    for source in staged.sources
    if source.thing == "plane"
  )
  speed = 30.0
  source = dataclasses.replace(
    source,
    size=0.9,
    route=scene.Route(
      times=np.array([0.0, 4.0]),
      points=np.array([[-2 * speed, 1.0, 3.0], [2 * speed, 1.0, 3.0]]),
      bends=np.zeros((1, 3)),
    ),
    intervals=np.array([[0.0, 4.0]]),
  )
  wave = yard.render_sound(_only(staged, source)).wave.sum(axis=-1)
  peaks = []
  for part in (wave[:RATE], wave[3 * RATE :]):
    power = np.abs(np.fft.rfft(part * np.hanning(len(part))))
    # One bin is 1 Hz; the whine lies between 1900 and 2600 Hz at rest.
    peaks.append(1600 + np.argmax(power[1600:3000]))
  c = sound.SOUND_SPEED
  # At the windows' inner ends the speed is not yet wholly radial.
  assert peaks[1] / peaks[0] == pytest.approx(
    (c - speed) / (c + speed), rel=0.005
  )


def _spectrum_over_time(wave):
  """Log energies of 24 bands in three stretches after a contact."""
  edges = np.exp(np.linspace(np.log(50.0), np.log(16000.0), 25))
  features = []
  for start, stop in ((0.0, 0.03), (0.03, 0.12), (0.12, 0.4)):
    part = np.zeros(1 << 14)
    piece = wave[int(start * RATE) : int(stop * RATE)]
    part[: len(piece)] = piece
    power = np.abs(np.fft.rfft(part)) ** 2
    bins = np.round(edges * len(part) / RATE).astype(int)
    bands = np.add.reduceat(power, bins)[:24]
    features.append(10 * np.log10(bands + 1e-4))
  return np.concatenate(features)


def test_a_linear_classifier_hears_the_material():
  """Of sticks on things of every size, at least 95 % on unseen objects."""
  features, labels = [], []
  rng = np.random.default_rng(0)
  for material in things.STRUCK:
    for _ in range(60):
      struck = modal.body(rng, material, rng.uniform(0.0, 1.0))
      strength = rng.uniform(0.3, 1.0)
      wave = modal.level(
        modal.strike(rng, struck, strength, rate=RATE), rate=RATE
      )
      features.append(_spectrum_over_time(wave * strength**1.5))
      labels.append(things.STRUCK.index(material))
  features, labels = np.array(features), np.array(labels)
  order = rng.permutation(len(labels))
  train, test = order[:240], order[240:]
  mean, std = features[train].mean(axis=0), features[train].std(axis=0) + 1e-6
  x = np.column_stack([(features - mean) / std, np.ones(len(labels))])
  targets = np.eye(6)[labels]
  gram = x[train].T @ x[train] + 3.0 * np.eye(x.shape[1])
  weights = np.linalg.solve(gram, x[train].T @ targets[train])
  accuracy = np.mean(np.argmax(x[test] @ weights, axis=-1) == labels[test])
  assert accuracy >= 0.95


def test_larger_things_sound_lower():
  for material in things.STRUCK:
    centroids = []
    for size in (0.1, 0.5, 0.9):
      rng = np.random.default_rng(0)
      struck = modal.body(rng, material, size)
      centroids.append(struck.frequencies[0])
    assert centroids[0] > 1.3 * centroids[1] > 1.69 * centroids[2]


def test_strike_is_the_sum_of_damped_sines():
  """Against the formula sample by sample, once the click has died away."""
  struck = modal.body(np.random.default_rng(1), "metal", 0.5)
  wave = modal.strike(np.random.default_rng(2), struck, 1.0, rate=RATE)
  rng = np.random.default_rng(2)
  heard = struck.frequencies < 0.45 * RATE
  place = rng.uniform(0.4, 1.0, heard.sum())
  place = place * rng.choice([-1.0, 1.0], heard.sum())
  t = np.arange(len(wave))[:, None] / RATE
  modes = np.exp(-np.log(1000.0) * t / struck.t60[heard]) * np.sin(
    2 * np.pi * struck.frequencies[heard] * t
  )
  expected = modes @ (struck.amplitudes[heard] * place)
  late = slice(int(0.03 * RATE), None)
  np.testing.assert_allclose(wave[late], expected[late], atol=2e-5)


def test_recordings_take_the_place_of_synthesis():
  rng = np.random.default_rng(0)
  recording = rng.normal(size=(500, 2)).astype(np.float32)
  staged = next(
    s
    for s in _scenes(9, 60)
    if len(s.sources) == 1 and s.sources[0].thing == "stick"
  )
  heard = yard.render_sound(staged, recordings={("stick", None): [recording]})
  mono = recording.mean(axis=-1)
  for contact in staged.sources[0].contacts:
    at = round(contact * RATE)
    piece = heard.wave[at : at + 500].sum(axis=-1)
    similarity = np.corrcoef(piece, mono[: len(piece)])[0, 1]
    assert similarity > 0.99


def test_levels_are_those_of_a_film():
  """The loudest sixth of a second of each clip, over many clips."""
  loudest = [
    yard.loudness(yard.render_sound(staged)).lufs.max()
    for staged in _scenes(10, 20, duration=3.0)
    if staged.sources
  ]
  low, middle, high = np.percentile(loudest, [10, 50, 90])
  assert low > -36.0
  assert -28.0 < middle < -14.0
  assert high < -9.0
