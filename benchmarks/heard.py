"""What each metric without weights hears, under damage of known amounts.

A metric that wants features gets the levels of 40 mel bands, every half
second, in their place, and one that wants logits a fifth of those of every
second: what a trained extractor hears is not asked here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import tqdm

from benchmarks.damage import DAMAGES, RATE, SECONDS, Clip
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

FPS = 25.0
_EVENT_RATE = 100.0


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
  deaf: damages that leave it as it is. What is in neither it hears in part.
  """

  name: str
  higher: bool
  of: Callable[[Clip, np.ndarray], np.ndarray | float]
  value: Callable[[np.ndarray, np.ndarray], float] = _mean
  hears: str = ""
  deaf: str = ""


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
  return spectral.band_levels(wave, seconds=1.0) / 5


def _rows(distance):
  def value(made, true):
    return distance(*(x.reshape(-1, x.shape[-1]) for x in (true, made)))

  return value


METRICS = (
  Metric(
    name="AV-Align 2023",
    higher=True,
    of=_av_align("2023"),
    hears="noise shift reversal",
    deaf="channels gain",
  ),
  Metric(
    name="AV-Align 2025",
    higher=True,
    of=_av_align("2025"),
    hears="noise shift reversal",
    deaf="channels gain",
  ),
  Metric(
    name="onset F1, +-0.1 s",
    higher=True,
    of=lambda clip, wave: (
      onsets.score(clip.impacts, onsets.librosa_onsets(wave)).f1
    ),
    hears="noise shift",
    deaf="channels gain",
  ),
  Metric(
    name="onset accuracy, CondFoleyGen",
    higher=True,
    of=lambda clip, wave: _foley(clip, wave).accuracy,
    hears="shift reversal",
    deaf="channels gain",
  ),
  Metric(
    name="onset AP, CondFoleyGen",
    higher=True,
    of=lambda clip, wave: _foley(clip, wave).average_precision,
    hears="shift reversal",
    deaf="channels gain",
  ),
  Metric(
    name="event IoU",
    higher=True,
    of=_event_iou,
    hears="noise low-pass shift reversal gain",
  ),
  Metric(
    name="time accuracy",
    higher=True,
    of=_count,
    value=lambda made, true: intervals.time_accuracy(true, made),
    hears="noise low-pass gain",
    deaf="shift channels",
  ),
  Metric(
    name="LUFS error, LU",
    higher=False,
    of=lambda clip, wave: float(np.mean(_lufs(clip, wave).error)),
    hears="noise low-pass shift channels reversal gain",
  ),
  Metric(
    name="LUFS correlation",
    higher=True,
    of=lambda clip, wave: float(np.mean(_lufs(clip, wave).correlation)),
    hears="noise shift channels reversal",
  ),
  Metric(
    name="E-L1 of RMS",
    higher=False,
    of=lambda clip, wave: energy.rms_error(clip.wave, wave),
    hears="noise low-pass shift reversal gain",
    deaf="channels",
  ),
  Metric(
    name="energy MAE, nepers",
    higher=False,
    of=lambda clip, wave: energy.mel_error(clip.wave, wave),
    hears="noise low-pass shift reversal gain",
    deaf="channels",
  ),
  Metric(
    name="integrated loudness off, LU",
    higher=False,
    of=_apart(loudness.integrated),
    hears="low-pass gain",
  ),
  Metric(
    name="loudness range off, LU",
    higher=False,
    of=_apart(loudness.loudness_range),
    hears="noise",
    deaf="gain",
  ),
  Metric(
    name="true peak off, dB",
    higher=False,
    of=_apart(loudness.true_peak),
    hears="noise low-pass gain",
    deaf="shift",
  ),
  Metric(
    name="silence rate off",
    higher=False,
    of=_apart(_silence),
    hears="noise low-pass gain",
  ),
  Metric(
    name="ITD error, ms",
    higher=False,
    of=lambda clip, wave: stereo.interaural_error(clip.wave, wave).time,
    hears="noise low-pass channels",
    deaf="gain",
  ),
  Metric(
    name="ILD error, dB",
    higher=False,
    of=lambda clip, wave: stereo.interaural_error(clip.wave, wave).level,
    hears="noise shift channels reversal",
    deaf="gain",
  ),
  Metric(
    name="pan sign right",
    higher=True,
    of=lambda clip, wave: stereo.pan_sign(clip.wave, wave).accuracy,
    hears="shift channels reversal",
    deaf="gain",
  ),
  Metric(
    name="log-spectral distance, dB",
    higher=False,
    of=lambda clip, wave: spectral.log_spectral_distance(clip.wave, wave),
    hears="noise low-pass shift reversal gain",
  ),
  Metric(
    name="multi-resolution distance",
    higher=False,
    of=lambda clip, wave: spectral.multi_resolution_distance(clip.wave, wave),
    hears="noise low-pass shift reversal gain",
  ),
  Metric(
    name="FD of band levels, dB^2",
    higher=False,
    of=_bands,
    value=_rows(frechet.distance),
    hears="noise low-pass gain",
  ),
  Metric(
    name="KID of band levels",
    higher=False,
    of=_bands,
    value=_rows(kernel.kid),
    hears="noise low-pass gain",
  ),
  Metric(
    name="KAD of band levels",
    higher=False,
    of=_bands,
    value=_rows(kernel.kad),
    hears="noise low-pass gain",
  ),
  Metric(
    name="KL of band levels",
    higher=False,
    of=_logits,
    value=_rows(classes.kl_av_benchmark),
    hears="noise gain",
  ),
  Metric(
    name="KL of band levels, sigmoid",
    higher=False,
    of=_logits,
    value=_rows(classes.kl_sigmoid),
    hears="low-pass gain",
  ),
  Metric(
    name="IS of band levels",
    higher=True,
    of=_logits,
    value=_rows(lambda _, made: classes.inception_score(made, splits=1)),
    hears="noise",
  ),
  Metric(
    name="cosine of band levels",
    higher=True,
    of=_logits,
    value=_rows(lambda x, y: float(similarity.cosine(x, y).mean())),
    hears="noise gain",
  ),
)


def measure(
  clips: Sequence[Clip],
  damages: Mapping[str, Sequence[float]],
  wanted: Callable[[Metric, str], bool] = lambda metric, damage: True,
) -> dict[str, dict[str, list[float]]]:
  """Each metric under each damage: undamaged, then grade by grade.

  Args:
    clips: what is damaged.
    damages: grades by the damage's name.
    wanted: whether a metric is to be measured under the damage of that name.
  """
  whole = [clip.wave for clip in clips]
  true = {m.name: _evidence(m, clips, whole) for m in METRICS}
  table = {m.name: {} for m in METRICS}
  for damage in tqdm.tqdm(DAMAGES, unit="damage"):
    metrics = [m for m in METRICS if wanted(m, damage.name)]
    for m in metrics:
      table[m.name][damage.name] = [m.value(true[m.name], true[m.name])]
    for grade in damages[damage.name]:
      waves = [damage.of(wave, grade) for wave in whole]
      for m in metrics:
        made = _evidence(m, clips, waves)
        table[m.name][damage.name].append(m.value(made, true[m.name]))
  return table


def _evidence(metric, clips, waves):
  return np.array(
    [metric.of(clip, wave) for clip, wave in zip(clips, waves, strict=True)]
  )
