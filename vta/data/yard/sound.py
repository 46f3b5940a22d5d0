"""Renders the sound of a scene: one stereo stem per source, and their sum.

A stem is the source's own sound times its level, one over its distance, panned
with equal power to where the camera sees it. Doppler bends pitch only: sound
is laid in sync with the picture, as films do, without the delay of the air.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float

from vta.data.yard import modal, noise, scene, things
from vta.signals import timing

PEAK = 0.9
SOUND_SPEED = 343.0
_CONTROL_RATE = 100.0  # of the gain and pitch curves, Hz

# By thing and material; a material of None fits all that the thing may be of.
# No two recordings need be of one length, so their axes have no names.
Recordings = Mapping[tuple[str, str | None], Sequence[Float[np.ndarray, "_ _"]]]


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class SceneSound:
  """What is heard.

  Attributes:
    stems: one per source in the scene's order.
    wave: their sum; its peak is at most `PEAK`.
    rate: samples per second.
  """

  stems: Float[np.ndarray, "k t 2"]
  wave: Float[np.ndarray, "t 2"]
  rate: int


def render_sound(
  staged: scene.Scene,
  *,
  rate: int = timing.SAMPLE_RATE,
  recordings: Recordings | None = None,
) -> SceneSound:
  """Renders every source.

  Args:
    rate: samples per second.
    recordings: recorded sounds [T, C] at `rate` by thing and material, instead
      of synthesis for those it names: one at each contact, or looped while it
      lasts.
  """
  recordings = recordings or {}
  samples = round(staged.duration * rate)
  stems = np.zeros((len(staged.sources), samples, 2), np.float32)
  for stem, source in zip(stems, staged.sources, strict=True):
    recorded = [
      wave
      for material in dict.fromkeys((source.material, None))
      for wave in recordings.get((source.thing, material), ())
    ]
    for start, wave in contact_sounds(source, rate=rate, recorded=recorded):
      wave = wave[: samples - start]
      # Both channels; panned below.
      stem[start : start + len(wave)] += wave[:, None]
    for start, wave in lasting_sounds(
      source, duration=staged.duration, rate=rate, recorded=recorded
    ):
      wave = wave[: samples - start]
      stem[start : start + len(wave)] += wave
    stem *= _gains(staged, source, samples, rate=rate)
  # One gain for all keeps the balance between sources.
  wave = stems.sum(axis=0)
  gain = np.float32(min(1.0, PEAK / max(np.abs(wave).max(), 1e-9)))
  return SceneSound(stems=stems * gain, wave=wave * gain, rate=rate)


def _curve(values, samples, *, rate):
  """Control points at `_CONTROL_RATE` to one value per sample."""
  if np.ptp(values) < 1e-9:
    return np.full(1, values[0], np.float32)
  at = np.arange(samples, dtype=np.float64) * (_CONTROL_RATE / rate)
  return np.interp(at, np.arange(len(values)), values).astype(np.float32)


def _control_times(seconds):
  return np.arange(int(np.ceil(seconds * _CONTROL_RATE)) + 2) / _CONTROL_RATE


def _gains(staged, source, samples, *, rate):
  """Gains [T or 1, 2] of the two channels."""
  times = _control_times(staged.duration)
  reference = things.THINGS[source.thing].reference
  level = 10.0 ** (source.level_db / 20.0)
  if np.isinf(source.extent[0]):
    distance = np.full(len(times), reference)
  else:
    distance = staged.place(source, times).distance
  level = level * reference / distance
  angle = (staged.pan(source, times) + 1.0) * (np.pi / 4.0)
  left = _curve(level * np.cos(angle), samples, rate=rate)
  right = _curve(level * np.sin(angle), samples, rate=rate)
  return np.stack(np.broadcast_arrays(left, right), axis=-1)


def contact_sounds(
  source: scene.Source,
  *,
  rate: int,
  recorded: Sequence[Float[np.ndarray, "_ _"]] | None = None,
) -> list[tuple[int, Float[np.ndarray, " _"]]]:
  """The mono sound of each contact and the sample at which it starts."""
  # A saw's contacts only start its strokes.
  if source.thing == "sawing" or not len(source.contacts):
    return []
  # The recording of a train has its wheels in it.
  if recorded and len(source.intervals):
    return []
  rng = np.random.default_rng([source.seed, 0])
  if recorded:
    take = [np.asarray(wave).mean(axis=-1) for wave in recorded]
    waves = [take[rng.integers(len(take))] for _ in source.contacts]
  else:
    waves = _strikes(rng, source, rate=rate)
  return [
    (round(time * rate), modal.level(wave, rate=rate) * np.float32(gain))
    for time, wave, gain in zip(
      source.contacts, waves, source.strengths**1.5, strict=True
    )
  ]


def _strikes(rng, source, *, rate):
  """One wave per contact, by thing."""
  material, size = source.material, source.size

  def body(name, **changes):
    return modal.body(rng, name, size, **changes)

  def hit(struck, strength):
    return modal.strike(rng, struck, float(strength), rate=rate)

  strengths = source.strengths
  if source.thing == "ball":
    ball, ground = body(material), modal.thud(95.0, 0.03, rate=rate)
    return [modal.add(hit(ball, s), 0.4, ground) for s in strengths]
  if source.thing == "block":
    block = body(material, pitch=0.85, ring=0.5)
    ground = modal.thud(80.0 - 20.0 * size, 0.05, rate=rate)
    waves = []
    for s in strengths:
      wave = modal.add(hit(block, s), 0.7, ground)
      for gain, wait in zip(
        (0.4, 0.2), rng.uniform(0.02, 0.05, 2).cumsum(), strict=True
      ):
        wave = modal.add(wave, gain, hit(block, s), at=int(wait * rate))
      waves.append(wave)
    return waves
  if source.thing == "stick":
    struck = body(material)
    stick = modal.body(rng, "wood", 0.0, pitch=2.0, ring=0.4)
    return [modal.add(hit(struck, s), 0.1, hit(stick, s)) for s in strengths]
  if source.thing == "hammer":
    anvil = body(material, pitch=0.8, ring=0.8)
    head = modal.body(rng, "metal", 0.2, pitch=2.0, ring=0.08)
    blow = modal.thud(110.0, 0.03, rate=rate)
    return [
      modal.add(modal.add(hit(anvil, s), 0.25, hit(head, s)), 0.6, blow)
      for s in strengths
    ]
  if source.thing == "bell":
    bell = body("bell")
    return [hit(bell, s) for s in strengths]
  if source.thing == "clock":
    ring = 0.35 if material == "wood" else 0.12
    tick, tock = (
      body(material, pitch=2.6, ring=ring),
      body(material, pitch=2.1, ring=ring),
    )
    return [hit((tick, tock)[k % 2], s) for k, s in enumerate(strengths)]
  if source.thing == "knocking":
    door = body(material, pitch=0.6, ring=0.5)
    panel = modal.thud(130.0 - 40.0 * size, 0.035, rate=rate)
    return [modal.add(hit(door, s), 0.8, panel) for s in strengths]
  if source.thing == "typing":
    key = body(material, pitch=3.0, ring=0.25)
    return [
      modal.add(
        hit(key, s), 0.3, hit(key, s), at=int(rng.uniform(0.05, 0.08) * rate)
      )
      for s in strengths
    ]
  if source.thing == "train":
    rail = modal.body(rng, "metal", 1.0, pitch=0.6, ring=0.06)
    joint = modal.thud(70.0, 0.04, rate=rate)
    return [modal.add(hit(rail, s), 1.5, joint) for s in strengths]
  return [_step(rng, source, rate=rate) for _ in strengths]


def _step(rng, source, *, rate):
  """A footstep: heel and toe on the ground's material."""
  heel = modal.thud(75.0 + 25.0 * (1.0 - source.size), 0.025, rate=rate)
  toe_at = int(rng.uniform(0.06, 0.10) * rate)
  if source.material in ("gravel", "snow"):
    # Many small grains give way one after the other.
    count, seconds, band = {
      "gravel": (14, 0.004, (1800.0, 9000.0)),
      "snow": (30, 0.006, (300.0, 1900.0)),
    }[source.material]
    wave = np.float32(0.3) * heel
    starts = np.sort(rng.uniform(0.0, 0.16, count))
    starts[0] = 0.0
    for at, gain in zip(starts, rng.uniform(0.2, 1.0, count), strict=True):
      grain = modal.burst(rng, seconds, band, rate=rate)
      wave = modal.add(wave, gain, grain, at=int(at * rate))
    return wave
  ground = modal.body(rng, source.material, source.size, pitch=0.7, ring=0.4)
  wave = modal.add(modal.strike(rng, ground, 0.5, rate=rate), 0.8, heel)
  toe = modal.strike(rng, ground, 0.2, rate=rate)
  return modal.add(wave, 0.35, toe, at=toe_at)


def lasting_sounds(
  source: scene.Source,
  *,
  duration: float,
  rate: int,
  recorded: Sequence[Float[np.ndarray, "_ _"]] | None = None,
) -> list[tuple[int, Float[np.ndarray, "_ 2"]]]:
  """The sound of each interval, faded at its ends, and its first sample.

  It is not faded where the clip (of `duration` seconds) cuts it off.
  """
  out = []
  for k, (start, end) in enumerate(source.intervals):
    rng = np.random.default_rng([source.seed, 1, k])
    samples = round((end - start) * rate)
    if recorded:
      take = np.asarray(recorded[rng.integers(len(recorded))]).mean(axis=-1)
      wave = np.resize(take, samples)
      wave = wave / max(np.sqrt(np.mean(wave**2)), 1e-6)
    else:
      wave = _lasting(rng, source, float(start), samples, rate=rate)
    wave = np.array(np.broadcast_to(wave.reshape(samples, -1), (samples, 2)))
    come, leave = _fades(source, float(start), float(end), duration)
    n, m = int(come * rate), int(leave * rate)
    wave[:n] *= np.linspace(0.0, 1.0, n, dtype=np.float32)[:, None] ** 2
    wave[len(wave) - m :] *= (
      np.linspace(1.0, 0.0, m, dtype=np.float32)[:, None] ** 2
    )
    out.append((round(start * rate), wave))
  return out


def _fades(source, start, end, duration):
  """Seconds of fading in and out: slow where it comes from or goes afar."""
  span = end - start
  ends = source.route.velocity(np.array([start + 1e-3, end - 1e-3]))
  moving = np.linalg.norm(ends, axis=-1) > 1.0
  short = min(0.03 if source.kind != "ambient" else 0.1, 0.1 * span)
  come, leave = np.where(moving, 0.25 * span, short)
  return (
    come if start > 0.0 else 0.0,
    leave if end < duration - 1e-6 else 0.0,
  )


def doppler(
  source: scene.Source, times: Float[np.ndarray, " f"]
) -> Float[np.ndarray, " f"]:
  """Factor on pitch, c / (c + radial speed); above 1 while it approaches."""
  away = source.route.at(times) - np.array([[0.0, scene.EYE, 0.0]])
  distance = np.linalg.norm(away, axis=-1)
  radial = np.sum(away * source.route.velocity(times), -1) / distance
  return SOUND_SPEED / (SOUND_SPEED + radial)


def _lasting(rng, source, start, samples, *, rate):
  """The sound of one interval, mono or stereo, by thing."""
  size = source.size
  voice = np.random.default_rng([source.seed, 2])
  if source.thing == "sawing":
    return noise.saw(voice, rng, samples, material=source.material, rate=rate)
  if source.thing == "rain":
    return noise.rain(rng, samples, heavy=size, rate=rate)
  if source.thing == "stream":
    return noise.stream(rng, samples, size=size, rate=rate)
  if source.thing == "wind":
    return noise.wind(rng, samples, size=size, rate=rate)
  if source.thing == "birds":
    return noise.birds(voice, rng, samples, rate=rate)
  if source.thing == "crickets":
    return noise.crickets(voice, samples, rate=rate)
  times = start + _control_times(samples / rate)
  speed = np.linalg.norm(source.route.velocity(times), axis=-1)
  full = np.zeros(samples, np.float32)
  pitch = full + _curve(doppler(source, times), samples, rate=rate)
  pace = full + _curve(np.minimum(speed / 16.0, 1.0), samples, rate=rate)
  if source.thing == "siren":
    motor = noise.engine(
      voice, rng, pace, pitch, idle=30.0, rasp=0.2, rate=rate
    )
    return noise.siren(voice, pitch, rate=rate) + np.float32(0.25) * motor
  if source.thing == "plane":
    return noise.jet(voice, rng, pitch, size=size, rate=rate)
  if source.thing == "train":
    rumble = noise.shaped(
      rng, samples, {30.0: 0.0, 150.0: 0.0, 700.0: -12.0, 5e3: -30.0}, rate=rate
    )[:, 0]
    return rumble + np.float32(0.5) * noise.engine(
      voice, rng, np.float32(0.3) * pace, pitch, idle=22.0, rasp=0.1, rate=rate
    )
  if source.thing == "motorbike":
    idle, rasp = 62.0 - 20.0 * size, 1.0
  else:
    idle, rasp = 38.0 - 12.0 * size, 0.35
  return noise.engine(voice, rng, pace, pitch, idle=idle, rasp=rasp, rate=rate)
