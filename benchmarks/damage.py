"""Sounds damaged by known amounts, and what each weight-free metric hears.

The clips are synthetic: impacts in either channel's favour, level and arrival
time, over a faint noise. A metric that wants features gets the levels of 40 mel
bands, every half second, in their place, and one that wants logits those of
the whole clip: what a trained extractor hears is not asked here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import scipy.signal

from vta.metrics import (
  av_align,
  classes,
  energy,
  foley_onsets,
  frechet,
  intervals,
  kernel,
  loudness,
  onsets,
  similarity,
  spectral,
  stereo,
)
from vta.signals import events as events_lib
from vta.signals import loudness as loudness_lib
from vta.signals import timing

RATE = timing.SAMPLE_RATE
FPS = 25.0
SECONDS = 4.0
_EVENT_RATE = 100.0


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
  name: of the damage, with the grades' unit.
  apply: the wave and a grade to the damaged wave.
  grades: from slight to heavy.
  """

  name: str
  apply: Callable[[np.ndarray, float], np.ndarray]
  grades: tuple[float, ...]

  def of(self, wave: np.ndarray, grade: float) -> np.ndarray:
    return self.apply(wave, grade).astype(np.float32)


DAMAGES = (
  Damage(name="noise, dB below", apply=_noise, grades=(30, 20, 10, 0)),
  Damage(name="low-pass, Hz", apply=_low_pass, grades=(8000, 4000, 1000, 300)),
  Damage(name="shift, s", apply=_shift, grades=(0.01, 0.05, 0.12, 0.22)),
  Damage(
    name="channels, share swapped", apply=_cross, grades=(0.25, 0.5, 0.75, 1)
  ),
  Damage(name="reversed pieces, s", apply=_reverse, grades=(0.02, 0.1, 0.4, 4)),
  Damage(name="gain, dB", apply=_gain, grades=(-3, -6, -12, -24)),
)
NOISE, LOW_PASS, SHIFT, CHANNELS, REVERSED, GAIN = (d.name for d in DAMAGES)


def _mean(made, true):
  return float(np.nanmean(made))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Metric:
  """Attributes:
  name: with version and unit.
  higher: whether more is better.
  of: evidence of one clip's sound.
  value: of a set's evidence and of the undamaged set's.
  hears: damages under which it gets worse, grade by grade.
  deaf: damages that leave it as it is.
  """

  name: str
  higher: bool
  of: Callable[[Clip, np.ndarray], np.ndarray | float]
  value: Callable[[np.ndarray, np.ndarray], float] = _mean
  hears: tuple[str, ...] = ()
  deaf: tuple[str, ...] = ()


def _av_align(version):
  def of(clip, wave):
    audio = av_align.audio_peaks(wave, rate=RATE)
    video = np.round(clip.impacts * FPS) / FPS
    return av_align.score(audio, video, fps=FPS, version=version)

  return of


def _foley(clip, wave):
  truth = foley_onsets.mono(clip.wave, rate=RATE, seconds=SECONDS)
  made = foley_onsets.mono(wave, rate=RATE, seconds=SECONDS)
  return foley_onsets.score(
    foley_onsets.detect(truth),
    foley_onsets.detect(made),
    made,
    variant="condfoleygen",
  )


def _event_iou(clip, wave):
  times = timing.centres(int(SECONDS * _EVENT_RATE), _EVENT_RATE)
  return intervals.event_iou(
    *(
      events_lib.to_binary(events_lib.from_wave(w), times)
      for w in (clip.wave, wave)
    )
  )


def _count(clip, wave):
  return len(events_lib.from_wave(wave).intervals)


def _lufs(clip, wave):
  return loudness.compare(
    loudness_lib.momentary(clip.wave), loudness_lib.momentary(wave)
  )


def _apart(measure):
  """How far a number of one wave is from the undamaged one's."""
  return lambda clip, wave: abs(measure(wave) - measure(clip.wave))


def _silence(wave):
  return loudness.silence_rate(loudness_lib.momentary(wave))


def _bands(clip, wave):
  return spectral.band_levels(wave, seconds=0.5)


def _logits(clip, wave):
  return spectral.band_levels(wave)[0] / 5


def _rows(distance):
  def value(made, true):
    return distance(*(x.reshape(-1, x.shape[-1]) for x in (true, made)))

  return value


METRICS = (
  Metric(name="AV-Align 2023", higher=True, of=_av_align("2023")),
  Metric(name="AV-Align 2025", higher=True, of=_av_align("2025")),
  Metric(
    name="onset F1, +-0.1 s",
    higher=True,
    of=lambda clip, wave: (
      onsets.score(clip.impacts, onsets.librosa_onsets(wave)).f1
    ),
  ),
  Metric(
    name="onset accuracy, CondFoleyGen",
    higher=True,
    of=lambda clip, wave: _foley(clip, wave).accuracy,
  ),
  Metric(
    name="onset AP, CondFoleyGen",
    higher=True,
    of=lambda clip, wave: _foley(clip, wave).average_precision,
  ),
  Metric(name="event IoU", higher=True, of=_event_iou),
  Metric(
    name="time accuracy",
    higher=True,
    of=_count,
    value=lambda made, true: intervals.time_accuracy(true, made),
  ),
  Metric(
    name="LUFS error, LU",
    higher=False,
    of=lambda clip, wave: float(np.mean(_lufs(clip, wave).error)),
  ),
  Metric(
    name="LUFS correlation",
    higher=True,
    of=lambda clip, wave: float(np.mean(_lufs(clip, wave).correlation)),
  ),
  Metric(
    name="E-L1 of RMS",
    higher=False,
    of=lambda clip, wave: energy.rms_error(clip.wave, wave),
  ),
  Metric(
    name="energy MAE, nepers",
    higher=False,
    of=lambda clip, wave: energy.mel_error(clip.wave, wave),
  ),
  Metric(
    name="integrated loudness off, LU",
    higher=False,
    of=_apart(loudness.integrated),
  ),
  Metric(
    name="loudness range off, LU",
    higher=False,
    of=_apart(loudness.loudness_range),
  ),
  Metric(name="true peak off, dB", higher=False, of=_apart(loudness.true_peak)),
  Metric(name="silence rate off", higher=False, of=_apart(_silence)),
  Metric(
    name="ITD error, ms",
    higher=False,
    of=lambda clip, wave: stereo.interaural_error(clip.wave, wave).time,
  ),
  Metric(
    name="ILD error, dB",
    higher=False,
    of=lambda clip, wave: stereo.interaural_error(clip.wave, wave).level,
  ),
  Metric(
    name="pan sign right",
    higher=True,
    of=lambda clip, wave: stereo.pan_sign(clip.wave, wave).accuracy,
  ),
  Metric(
    name="log-spectral distance, dB",
    higher=False,
    of=lambda clip, wave: spectral.log_spectral_distance(clip.wave, wave),
  ),
  Metric(
    name="multi-resolution distance",
    higher=False,
    of=lambda clip, wave: spectral.multi_resolution_distance(clip.wave, wave),
  ),
  Metric(
    name="FD of band levels, dB^2",
    higher=False,
    of=_bands,
    value=_rows(frechet.distance),
  ),
  Metric(
    name="KID of band levels",
    higher=False,
    of=_bands,
    value=_rows(kernel.kid),
  ),
  Metric(
    name="KAD of band levels",
    higher=False,
    of=_bands,
    value=_rows(kernel.kad),
  ),
  Metric(
    name="KL of band levels",
    higher=False,
    of=_logits,
    value=lambda made, true: classes.kl_av_benchmark(true, made),
  ),
  Metric(
    name="KL of band levels, sigmoid",
    higher=False,
    of=_logits,
    value=lambda made, true: classes.kl_sigmoid(true, made),
  ),
  Metric(
    name="IS of band levels",
    higher=True,
    of=_logits,
    value=lambda made, true: classes.inception_score(made, splits=1),
  ),
  Metric(
    name="cosine of band levels",
    higher=True,
    of=_logits,
    value=lambda made, true: float(similarity.cosine(true, made).mean()),
  ),
)


def measure(
  clips: Sequence[Clip],
  damages: Mapping[str, Sequence[float]],
  metrics: Sequence[Metric] = METRICS,
) -> dict[str, dict[str, list[float]]]:
  """Each metric under each damage: undamaged, then grade by grade.

  Args:
    clips: what is damaged.
    damages: grades by the damage's name.
    metrics: which to measure.
  """
  true = {m.name: _evidence(m, clips, [c.wave for c in clips]) for m in metrics}
  table = {m.name: {} for m in metrics}
  for damage in DAMAGES:
    if damage.name not in damages:
      continue
    for m in metrics:
      table[m.name][damage.name] = [m.value(true[m.name], true[m.name])]
    for grade in damages[damage.name]:
      waves = [damage.of(clip.wave, grade) for clip in clips]
      for m in metrics:
        made = _evidence(m, clips, waves)
        table[m.name][damage.name].append(m.value(made, true[m.name]))
  return table


def _evidence(metric, clips, waves):
  return np.array(
    [metric.of(clip, wave) for clip, wave in zip(clips, waves, strict=True)]
  )
