"""Struck bodies: sums of decaying sines and the click of the contact.

Modal synthesis as in van den Doel and Pai, "The Sounds of Physical Shapes"
(Presence, 1998): y(t) = sum_m a_m exp(-6.91 t / T60_m) sin(2 pi f_m t). A
material sets the ratios of the modes, how long they ring and how fast that
falls with frequency; size sets the lowest mode.
"""

from __future__ import annotations

import dataclasses
import functools
import types
from collections.abc import Mapping

import numpy as np
from jaxtyping import Float
from scipy import signal

_BLOCK = 256
_LN_1000 = 6.9078  # 60 dB


@dataclasses.dataclass(frozen=True, kw_only=True)
class Material:
  """How a material rings.

  Attributes:
    lowest: frequency of the lowest mode for size 0 and for size 1, Hz.
    ratios: of the modes to the lowest.
    t60: seconds in which the lowest mode falls by 60 dB.
    damping: T60 falls with the ratio to this power.
    tilt: amplitude falls with the ratio to this power.
    click: amplitude of the contact's noise beside the modes.
    click_seconds: its decay (to 1/e).
    click_band: its lowest and highest frequency, Hz.
  """

  lowest: tuple[float, float]
  ratios: tuple[float, ...]
  t60: float
  damping: float
  tilt: float
  click: float
  click_seconds: float
  click_band: tuple[float, float]


_BAR = (1.0, 2.76, 5.40, 8.93, 13.34)
_PLATE = (1.0, 1.52, 2.16, 2.83, 3.66, 4.41, 5.47, 6.32, 7.71, 9.12, 10.9)
_SHELL = (1.0, 1.83, 2.71, 4.08, 5.27)
_ROCK = (1.0, 1.31, 1.74, 2.22, 2.63, 3.18, 3.91, 4.75)
_BOX = (1.0, 1.46, 2.31, 3.05)
_MEMBRANE = (1.0, 1.59, 2.14, 2.30, 2.65, 2.92, 3.50, 3.60, 4.06)
_BELL = (0.5, 1.0, 1.19, 1.50, 2.0, 2.51, 2.66, 3.01, 4.10, 5.43)

MATERIALS: Mapping[str, Material] = types.MappingProxyType(
  {
    "wood": Material(
      lowest=(900.0, 280.0),
      ratios=_BAR,
      t60=0.16,
      damping=0.9,
      tilt=0.9,
      click=0.35,
      click_seconds=0.004,
      click_band=(400.0, 3500.0),
    ),
    "metal": Material(
      lowest=(1100.0, 360.0),
      ratios=_PLATE,
      t60=1.6,
      damping=0.45,
      tilt=0.25,
      click=0.3,
      click_seconds=0.002,
      click_band=(2000.0, 14000.0),
    ),
    "glass": Material(
      lowest=(3600.0, 1700.0),
      ratios=_SHELL,
      t60=0.7,
      damping=0.7,
      tilt=0.5,
      click=0.25,
      click_seconds=0.0015,
      click_band=(4000.0, 16000.0),
    ),
    "stone": Material(
      lowest=(2300.0, 900.0),
      ratios=_ROCK,
      t60=0.05,
      damping=0.4,
      tilt=0.3,
      click=1.4,
      click_seconds=0.007,
      click_band=(900.0, 9000.0),
    ),
    "plastic": Material(
      lowest=(620.0, 210.0),
      ratios=_BOX,
      t60=0.10,
      damping=1.3,
      tilt=1.6,
      click=0.25,
      click_seconds=0.003,
      click_band=(150.0, 1500.0),
    ),
    "drum skin": Material(
      lowest=(190.0, 70.0),
      ratios=_MEMBRANE,
      t60=0.65,
      damping=0.7,
      tilt=0.5,
      click=0.4,
      click_seconds=0.004,
      click_band=(200.0, 5000.0),
    ),
    "bell": Material(
      lowest=(900.0, 330.0),
      ratios=_BELL,
      t60=3.0,
      damping=0.8,
      tilt=0.4,
      click=0.15,
      click_seconds=0.002,
      click_band=(2000.0, 12000.0),
    ),
  }
)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Body:
  """One object of a material: its own slightly mistuned modes.

  Attributes:
    frequencies: Hz.
    t60: seconds.
    amplitudes: for a hard strike.
    material: for its click.
  """

  frequencies: Float[np.ndarray, " m"]
  t60: Float[np.ndarray, " m"]
  amplitudes: Float[np.ndarray, " m"]
  material: Material


def body(
  rng: np.random.Generator,
  material: str,
  size: float,
  *,
  pitch: float = 1.0,
  ring: float = 1.0,
) -> Body:
  """Makes an object.

  Args:
    material: a key of `MATERIALS`.
    size: 0 small .. 1 large.
    pitch: factor on every frequency (a key is higher than a door).
    ring: factor on every decay (a held or lying thing rings less).
  """
  made_of = MATERIALS[material]
  small, large = made_of.lowest
  ratios = np.array(made_of.ratios)
  own = rng.uniform(0.97, 1.03, len(ratios))
  lowest = small * (large / small) ** size * pitch
  return Body(
    frequencies=lowest * ratios * own,
    t60=made_of.t60 * ring * ratios**-made_of.damping,
    amplitudes=ratios**-made_of.tilt,
    material=made_of,
  )


def strike(
  rng: np.random.Generator, struck: Body, strength: float, *, rate: int
) -> Float[np.ndarray, " t"]:
  """One strike, at a random place of the object.

  Args:
    strength: 0..1; a harder strike is brighter. It does not scale the result,
      which `level` normalises.
    rate: samples per second; modes near and above its half are left out.
  """
  heard = struck.frequencies < 0.45 * rate
  decay = _LN_1000 / (struck.t60[heard] * rate)
  turn = 2.0 * np.pi * struck.frequencies[heard] / rate
  soft = np.exp(-struck.frequencies[heard] / 5000.0 * (1.0 - strength))
  place = rng.uniform(0.4, 1.0, len(turn)) * rng.choice([-1.0, 1.0], len(turn))
  amplitudes = struck.amplitudes[heard] * soft * place
  # exp(p (256 j + i)) = exp(256 p j) exp(p i): one small matrix product
  # instead of a sine and an exponential per sample and mode.
  poles = -decay + 1j * turn
  seconds = 0.8 * float(struck.t60.max())
  blocks = int(np.ceil(seconds * rate / _BLOCK))
  coarse = np.exp(poles * _BLOCK * np.arange(blocks)[:, None]) * amplitudes
  fine = np.exp(poles[:, None] * np.arange(_BLOCK))
  # einsum and not @: on so small a product BLAS's threads cost 40 ms of spin.
  modes = np.einsum(
    "jm,mi->ji", coarse.astype(np.complex64), fine.astype(np.complex64)
  )
  wave = modes.imag.reshape(-1)
  made_of = struck.material
  click = burst(rng, made_of.click_seconds, made_of.click_band, rate=rate)
  return add(wave, 0.5 + 0.5 * strength, click * np.float32(made_of.click))


def add(
  wave: Float[np.ndarray, " t"],
  gain: float,
  other: Float[np.ndarray, " n"],
  *,
  at: int = 0,
) -> Float[np.ndarray, " m"]:
  """wave + gain * other from sample `at` on, as long as the longer needs."""
  total = np.zeros(max(len(wave), at + len(other)), np.float32)
  total[: len(wave)] = wave
  total[at : at + len(other)] += np.float32(gain) * other
  return total


def burst(
  rng: np.random.Generator,
  seconds: float,
  band: tuple[float, float],
  *,
  rate: int,
) -> Float[np.ndarray, " t"]:
  """Noise in a band that decays by 1/e in `seconds`; its peak is 1."""
  n = int(6.0 * seconds * rate) + 64
  sos = _band_pass(band[0], min(band[1], 0.45 * rate), rate)
  noise = rng.standard_normal(n) * np.exp(-np.arange(n) / (seconds * rate))
  wave = signal.sosfilt(sos, noise)
  return (wave / np.abs(wave).max()).astype(np.float32)


@functools.cache
def _band_pass(low, high, rate):
  return signal.butter(2, (low, high), "bandpass", fs=rate, output="sos")


def thud(
  frequency: float, seconds: float, *, rate: int
) -> Float[np.ndarray, " t"]:
  """A low damped sine: the ground or a door that gives way; its peak is < 1."""
  t = np.arange(int(5.0 * seconds * rate)) / rate
  wave = np.sin(2.0 * np.pi * frequency * t) * np.exp(-t / seconds)
  return wave.astype(np.float32)


def level(
  wave: Float[np.ndarray, " t"], *, rate: int
) -> Float[np.ndarray, " t"]:
  """Scales a strike to RMS 1 over a sixth of a second, with a peak below 4.

  A sixth of a second is the block in which loudness is measured; the limit
  keeps short clicks from needing a peak that no file can hold.
  """
  energy = np.sqrt(np.sum(wave**2) * 6.0 / rate)
  return wave / np.float32(max(energy, np.abs(wave).max() / 4.0))
