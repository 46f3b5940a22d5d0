"""Sounds that last: shaped noise, engines, sirens, water, wind, insects.

Each function returns mono or stereo of RMS about 1; `sound` sets levels. A
`voice` is the generator of what stays the same each time a source is heard
(its register, its cylinders), `rng` the one of what does not (the noise).
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy import fft


def shaped(
  rng: np.random.Generator,
  samples: int,
  knots: dict[float, float],
  *,
  rate: int,
  channels: int = 1,
) -> Float[np.ndarray, "t c"]:
  """Noise whose spectrum is drawn by (Hz: dB) knots, straight over log Hz.

  It is made by one inverse FFT of random complex numbers.
  """
  n = fft.next_fast_len(max(samples, 16), real=True)
  hertz = np.fft.rfftfreq(n, 1.0 / rate)
  marks = np.log(np.array(list(knots)))
  decibel = np.interp(
    np.log(np.maximum(hertz, 1.0)), marks, np.array(list(knots.values()))
  )
  gain = (10.0 ** (decibel / 20.0)).astype(np.float32)
  gain[hertz < 15.0] = 0.0
  white = rng.standard_normal((channels, len(hertz), 2), np.float32)
  spectrum = white.view(np.complex64)[..., 0] * gain
  wave = fft.irfft(spectrum, n)[:, :samples].T
  # The expected RMS: the same gain for every draw and every length.
  rms = np.sqrt(4.0 * np.sum(gain.astype(np.float64) ** 2)) / n
  return (wave / np.float32(rms)).astype(np.float32)


def wobble(
  rng: np.random.Generator, samples: int, hertz: float, *, rate: int
) -> Float[np.ndarray, " t"]:
  """A slow random curve between 0 and 1 with about `hertz` knots a second."""
  count = max(2, int(samples / rate * hertz) + 2)
  knots = rng.uniform(0.0, 1.0, count)
  at = np.linspace(0.0, count - 1.0, samples)
  i = np.minimum(at.astype(int), count - 2)
  u = at - i
  u = u * u * (3.0 - 2.0 * u)
  return ((1.0 - u) * knots[i] + u * knots[i + 1]).astype(np.float32)


def tone(
  frequency: Float[np.ndarray, " t"],
  harmonics: Float[np.ndarray, " h"],
  *,
  rate: int,
  phases: Float[np.ndarray, " h"] | None = None,
) -> Float[np.ndarray, " t"]:
  """A periodic wave of moving pitch, by table look-up; its RMS is 1.

  Args:
    frequency: of the fundamental at every sample, Hz.
    harmonics: amplitudes of harmonics 1, 2, ...; those that would pass 0.45 of
      the rate are left out.
    phases: of the harmonics, radians; zero by default.
  """
  number = np.arange(1, len(harmonics) + 1)
  kept = number * float(frequency.max(initial=1.0)) < 0.45 * rate
  turns = 2.0 * np.pi * np.arange(4096) / 4096
  offset = np.zeros(len(harmonics)) if phases is None else phases
  waves = np.sin(number[:, None] * turns + offset[:, None])
  table = (harmonics * kept) @ waves
  table = table / np.sqrt(np.mean(table**2) + 1e-12)
  phase = np.cumsum(frequency / rate)
  index = ((phase - np.floor(phase)) * 4096).astype(np.int64) & 4095
  return table.astype(np.float32)[index]


def engine(
  voice: np.random.Generator,
  rng: np.random.Generator,
  speed: Float[np.ndarray, " t"],
  pitch: Float[np.ndarray, " t"],
  *,
  idle: float,
  rasp: float,
  rate: int,
) -> Float[np.ndarray, " t"]:
  """A combustion engine and its tyres.

  Args:
    speed: 0 standing .. 1 fast, at every sample: sets revolutions and noise.
    pitch: Doppler factor at every sample.
    idle: frequency of the firing cycle when standing, Hz.
    rasp: 0 smooth .. 1 rough: how slowly the harmonics fall.
  """
  n = len(speed)
  number = np.arange(1, 41)
  fall = 2.0 - 1.2 * rasp
  # Uneven cylinders: each cycle's harmonics have their own strengths.
  harmonics = number**-fall * voice.uniform(0.2, 1.0, 40)
  revolutions = idle * (1.0 + 2.2 * speed) * pitch
  phases = voice.uniform(0.0, 2.0 * np.pi, 40)
  wave = tone(revolutions, harmonics, rate=rate, phases=phases)
  road = shaped(
    rng, n, {60.0: 0.0, 500.0: -3.0, 1500.0: -9.0, 8000.0: -30.0}, rate=rate
  )[:, 0]
  power = (0.45 + 0.35 * speed).astype(np.float32)
  return power * wave + (0.08 + 0.75 * speed).astype(np.float32) * road


def siren(
  voice: np.random.Generator,
  pitch: Float[np.ndarray, " t"],
  *,
  rate: int,
) -> Float[np.ndarray, " t"]:
  """A wail, a yelp or two tones."""
  t = np.arange(len(pitch)) / rate
  style = voice.choice(["wail", "yelp", "two tones"])
  if style == "two tones":
    high = (t % 1.1) < 0.55
    frequency = np.where(high, 585.0, 440.0) * voice.uniform(0.9, 1.15)
  else:
    hertz = 0.35 if style == "wail" else 2.8
    curve = 0.5 - 0.5 * np.cos(2.0 * np.pi * hertz * t + voice.uniform(0, 6.28))
    frequency = 620.0 * 2.0 ** (1.15 * curve)
  harmonics = np.array([1.0, 0.5, 0.6, 0.25, 0.3, 0.12, 0.15])
  return tone(frequency * pitch, harmonics, rate=rate)


def rain(
  rng: np.random.Generator, samples: int, *, heavy: float, rate: int
) -> Float[np.ndarray, "t 2"]:
  """A hiss and single drops; heavier rain is denser and darker."""
  dark = -14.0 + 12.0 * heavy
  spectrum = {100.0: dark - 12.0, 500.0: dark, 3000.0: 0.0, 12000.0: -5.0}
  hiss = shaped(rng, samples, spectrum, rate=rate, channels=2)
  count = rng.poisson(samples / rate * (60.0 - 30.0 * heavy))
  drops = _grains(
    rng, samples, count, band=(1500.0, 6000.0), seconds=0.006, rate=rate
  )
  return hiss * np.float32(0.75 + 0.2 * heavy) + drops * np.float32(2.0)


def stream(
  rng: np.random.Generator, samples: int, *, size: float, rate: int
) -> Float[np.ndarray, "t 2"]:
  """Flowing water: a dark rush and bubbles."""
  spectrum = {80.0: -14.0, 400.0: 0.0, 1500.0: -4.0, 9000.0: -28.0}
  rush = shaped(rng, samples, spectrum, rate=rate, channels=2)
  count = rng.poisson(samples / rate * 45.0)
  top = 2200.0 - 1000.0 * size
  bubbles = _grains(
    rng, samples, count, band=(450.0, top), seconds=0.02, rate=rate
  )
  return rush * np.float32(0.55 + 0.3 * size) + bubbles * np.float32(2.2)


def _grains(rng, samples, count, *, band, seconds, rate):
  """Many short decaying sines that rise a little, left and right."""
  n = int(5.0 * seconds * rate)
  t = np.arange(n, dtype=np.float32) / rate
  hertz = np.exp(rng.uniform(*np.log(band), count)).astype(np.float32)
  rise = 1.0 + 6.0 * t
  envelope = np.exp(-t / np.float32(seconds))
  gains = rng.uniform(0.2, 1.0, count).astype(np.float32) ** 2
  waves = np.sin(2 * np.pi * hertz[:, None] * (t * rise)[None, :])
  waves = (waves * envelope[None, :] * gains[:, None]).astype(np.float32)
  starts = rng.integers(0, max(samples - n, 1), count)
  right = rng.uniform(0.0, 1.0, count).astype(np.float32)
  out = np.zeros((samples + n, 2), np.float32)
  for wave, start, side in zip(waves, starts, right, strict=True):
    out[start : start + n, 0] += wave * (1.0 - side)
    out[start : start + n, 1] += wave * side
  return out[:samples]


def wind(
  rng: np.random.Generator, samples: int, *, size: float, rate: int
) -> Float[np.ndarray, "t 2"]:
  """Gusts: a low rush that brightens as it swells."""
  low = {40.0: -6.0, 200.0: 0.0, 600.0: -10.0, 4000.0: -40.0}
  high = {100.0: -30.0, 500.0: -4.0, 900.0: 0.0, 1600.0: -8.0, 8000.0: -40.0}
  gust = wobble(rng, samples, 0.7 + 0.8 * (1.0 - size), rate=rate)[:, None]
  calm = shaped(rng, samples, low, rate=rate, channels=2)
  howl = shaped(rng, samples, high, rate=rate, channels=2)
  return calm * (0.3 + 0.7 * gust) + howl * (0.9 * gust**2)


def birds(
  voice: np.random.Generator,
  rng: np.random.Generator,
  samples: int,
  *,
  rate: int,
) -> Float[np.ndarray, " t"]:
  """One song: chirps in the bird's own register, from the first sample on."""
  out = np.zeros(samples, np.float32)
  register = voice.uniform(2600.0, 4800.0)
  n = min(int(voice.uniform(0.05, 0.14) * rate), samples)
  sweep = voice.uniform(-0.5, 0.5)
  u = np.linspace(0.0, 1.0, n)
  envelope = np.sin(np.pi * u).astype(np.float32)
  start = 0
  while start + n <= samples:
    hertz = register * rng.uniform(0.9, 1.1) * 2.0 ** (sweep * (u - 0.5))
    hertz = hertz * (1.0 + 0.03 * np.sin(2.0 * np.pi * 3.0 * u))
    phase = 2.0 * np.pi * np.cumsum(hertz) / rate
    out[start : start + n] = 2.0 * envelope * np.sin(phase)
    start += int(n * rng.uniform(1.1, 1.6)) + 1
  return out


def crickets(
  voice: np.random.Generator, samples: int, *, rate: int
) -> Float[np.ndarray, " t"]:
  """One chirp: a high pitch chopped into pulses."""
  t = np.arange(samples) / rate
  hertz = voice.uniform(3900.0, 5200.0)
  pulses = np.abs(np.sin(np.pi * voice.uniform(24.0, 34.0) * t)) ** 0.7
  return (2.2 * np.sin(2.0 * np.pi * hertz * t) * pulses).astype(np.float32)


def saw(
  voice: np.random.Generator,
  rng: np.random.Generator,
  samples: int,
  *,
  material: str,
  rate: int,
) -> Float[np.ndarray, " t"]:
  """One stroke of a saw: noise of the material, chopped by the teeth."""
  if material == "metal":
    spectrum = {300.0: -30.0, 2000.0: -6.0, 5000.0: 0.0, 12000.0: -6.0}
  else:
    spectrum = {100.0: -20.0, 500.0: 0.0, 1800.0: -3.0, 8000.0: -25.0}
  wave = shaped(rng, samples, spectrum, rate=rate)[:, 0]
  u = np.linspace(0.0, 1.0, samples)
  teeth = 1.0 + 0.7 * np.sin(2.0 * np.pi * voice.uniform(20, 32) * u)
  return (wave * np.sin(np.pi * u) ** 0.4 * teeth).astype(np.float32)


def jet(
  voice: np.random.Generator,
  rng: np.random.Generator,
  pitch: Float[np.ndarray, " t"],
  *,
  size: float,
  rate: int,
) -> Float[np.ndarray, " t"]:
  """A propeller plane when small, a jet when large, mixed in between."""
  n = len(pitch)
  roar = shaped(
    rng, n, {40.0: -3.0, 200.0: 0.0, 800.0: -4.0, 6000.0: -22.0}, rate=rate
  )[:, 0]
  blades = np.arange(1, 31) ** -0.9 * voice.uniform(0.4, 1.0, 30)
  hertz = voice.uniform(75.0, 110.0) * pitch
  propeller = tone(hertz, blades, rate=rate)
  whine = tone(voice.uniform(1900.0, 2600.0) * pitch, np.ones(1), rate=rate)
  return (
    np.float32(0.25 + 0.7 * size) * roar
    + np.float32(0.85 * (1.0 - size)) * propeller
    + np.float32(0.22 * size) * whine
  )
