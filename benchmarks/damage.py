"""Sounds damaged by known amounts.

Synthetic, the same every time: impacts in either channel's favour, in level
and in arrival time, over a faint noise.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import scipy.signal

from vta.signals import timing

RATE = timing.SAMPLE_RATE
SECONDS = 4.0


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Clip:
  """A sound, and when its impacts fall, s."""

  wave: np.ndarray
  impacts: np.ndarray


def make_clips(count: int) -> list[Clip]:
  """The same clips every time."""
  return [_make_clip(seed) for seed in range(count)]


def _make_clip(seed: int) -> Clip:
  rng = np.random.default_rng(seed)
  at = np.arange(int(SECONDS * RATE)) / RATE
  slots = 0.2 + 0.45 * np.arange(8)
  times = np.sort(rng.choice(slots, 5, replace=False)) + rng.uniform(0, 0.1, 5)
  wave = 3e-4 * rng.normal(size=(len(at), 2))
  for time in times:
    pitch, decay = rng.uniform(300, 2500), rng.uniform(12, 25)
    level = rng.uniform(0.15, 0.5)
    # The nearer ear hears it up to 8 dB louder and 0.5 ms sooner.
    side = rng.choice([-1, 1]) * rng.uniform(0.5, 1.0)
    noise = rng.normal(size=len(at))
    for channel, sign in enumerate((-1, 1)):
      since = at - time - 2.5e-4 * (1 - sign * side)
      shape = np.where(since >= 0, np.exp(-decay * np.maximum(since, 0)), 0)
      tone = np.sin(2 * np.pi * pitch * since)
      tone += 0.5 * np.sin(2 * np.pi * 2.76 * pitch * since)
      tone += 0.5 * np.roll(noise, round(2.5e-4 * (1 - sign * side) * RATE))
      gain = level * 10 ** (4 * sign * side / 20)
      wave[:, channel] += 0.5 * gain * shape * tone
  return Clip(wave=wave.astype(np.float32), impacts=times)


def _noise(wave, db):
  """White, as loud as the wave less `db`."""
  level = np.sqrt(np.square(wave).mean()) * 10 ** (-db / 20)
  noise = np.random.default_rng(9).normal(size=wave.shape)
  return wave + level * noise


def _low_pass(wave, hertz):
  sections = scipy.signal.butter(6, hertz, fs=RATE, output="sos")
  return scipy.signal.sosfiltfilt(sections, wave, axis=0)


def _shift(wave, seconds):
  """Later; what comes in has the level of the clip's own rest."""
  count = round(seconds * RATE)
  rest = 3e-4 * np.random.default_rng(8).normal(size=(count, 2))
  return np.concatenate([rest, wave])[: len(wave)]


def _cross(wave, share):
  """From as it is by way of mono to swapped."""
  return (1 - share) * wave + share * wave[:, ::-1]


def _reverse(wave, seconds):
  """Backwards within pieces."""
  size = round(seconds * RATE)
  pieces = [wave[i : i + size][::-1] for i in range(0, len(wave), size)]
  return np.concatenate(pieces)


def _gain(wave, db):
  return wave * 10 ** (db / 20)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Damage:
  """Attributes:
  name: one word.
  unit: of the grades.
  apply: the wave and a grade to the damaged wave.
  grades: from slight to heavy.
  """

  name: str
  unit: str
  apply: Callable[[np.ndarray, float], np.ndarray]
  grades: tuple[float, ...]

  def of(self, wave: np.ndarray, grade: float) -> np.ndarray:
    return self.apply(wave, grade).astype(np.float32)


DAMAGES = (
  Damage(name="noise", unit="dB below", apply=_noise, grades=(30, 20, 10, 0)),
  Damage(
    name="low-pass", unit="Hz", apply=_low_pass, grades=(8000, 4000, 1000, 300)
  ),
  Damage(name="shift", unit="s", apply=_shift, grades=(0.01, 0.05, 0.12, 0.22)),
  Damage(
    name="channels", unit="swapped", apply=_cross, grades=(0.25, 0.5, 0.75, 1)
  ),
  Damage(name="reversal", unit="s", apply=_reverse, grades=(0.02, 0.1, 0.4, 4)),
  Damage(name="gain", unit="dB", apply=_gain, grades=(-3, -6, -12, -24)),
)
