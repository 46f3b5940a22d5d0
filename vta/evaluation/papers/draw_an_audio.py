"""Draw an Audio: its modules with and without, and its two guidance curves.

None of the paper's numbers are to be had, only the shape of its Figure 4:
measures are best at 3.5 for text and 4.5 for video, and worse to both sides.
Loudness is heard by the denoiser alone: that the sampler can keep to a curve is
ours and left off.
"""

from __future__ import annotations

from vta.data.yard import truth
from vta.evaluation import ablation, measures, stand
from vta.signals import cues

TRAININGS = {
  "text": ablation.Training(config="composed.py:text-yard"),
  "draw_an_audio": ablation.Training(
    config="composed.py:draw_an_audio-yard", base="text"
  ),
  "draw_an_audio-loudness": ablation.Training(
    config="composed.py:draw_an_audio-loudness-yard", base="draw_an_audio"
  ),
}
_TEXT_SCALE, _VIDEO_SCALE = 3.5, 4.5


def _in_view(staged) -> bool:
  return bool(staged.sources) and all(s.on_screen for s in staged.sources)


def _said(clip, props):
  return cues.Track(text=stand.caption(clip))


def _one(clip, props):
  """Words for all of the clip, a mask on its first thing."""
  return cues.Track(
    text=stand.caption(clip), masks=truth.masks(clip.staged, [0])
  )


def _curve(clip, props):
  return cues.Track(
    text=stand.caption(clip), loudness=truth.loudness(clip.heard)
  )


def _guided(*, video: float, text: float, x: float) -> ablation.Row:
  return ablation.Row(
    name=f"{x:g}",
    training="draw_an_audio",
    track=_said,
    # The video's group is first: see configs/composed.py.
    settings={"guidance": (video, text)},
    x=x,
  )


def _u_shape(measure, best: str) -> tuple[ablation.Claim, ...]:
  return tuple(
    ablation.Claim(better=best, worse=worse, measure=measure)
    for worse in ("1.5", "7.5")
  )


_CURVE = (measures.DISTANCE, measures.SPECTRUM, measures.ONSETS)
TABLES = (
  ablation.Ablation(
    title="Draw an Audio: video and its mask",
    columns=(),
    wanted=stand.two_in_view,
    audible=stand.comparable,
    rows=(
      ablation.Row(name="text", training="text", track=_said, pictures=False),
      ablation.Row(name="text, video", training="draw_an_audio", track=_said),
      ablation.Row(
        name="text, masked video", training="draw_an_audio", track=_one
      ),
    ),
    measures=(measures.OUTSIDE, measures.ONSETS, measures.DISTANCE),
    claims=(
      ablation.Claim(
        better="text, video", worse="text", measure=measures.ONSETS
      ),
      ablation.Claim(
        better="text, masked video",
        worse="text, video",
        measure=measures.OUTSIDE,
      ),
    ),
  ),
  ablation.Ablation(
    title="Draw an Audio: the time-loudness module",
    columns=(),
    wanted=_in_view,
    rows=(
      ablation.Row(
        name="text, video", training="draw_an_audio-loudness", track=_said
      ),
      ablation.Row(
        name="text, video, loudness",
        training="draw_an_audio-loudness",
        track=_curve,
        settings={"obey": False},
      ),
    ),
    measures=(
      measures.LUFS,
      measures.LUFS_CORRELATION,
      measures.ONSETS,
      measures.DISTANCE,
    ),
    claims=tuple(
      ablation.Claim(
        better="text, video, loudness", worse="text, video", measure=measure
      )
      for measure in (measures.LUFS, measures.ONSETS, measures.DISTANCE)
    ),
  ),
  ablation.Ablation(
    title="Draw an Audio, Figure 4: guidance by video, text at 3.5",
    columns=(),
    wanted=_in_view,
    rows=tuple(
      _guided(video=x, text=_TEXT_SCALE, x=x) for x in (1.5, 3.0, 4.5, 6.0, 7.5)
    ),
    measures=_CURVE,
    claims=_u_shape(measures.DISTANCE, "4.5"),
    axis="guidance by video",
  ),
  ablation.Ablation(
    title="Draw an Audio, Figure 4: guidance by text, video at 4.5",
    columns=(),
    wanted=_in_view,
    rows=tuple(
      _guided(video=_VIDEO_SCALE, text=x, x=x) for x in (1.5, 3.5, 5.5, 7.5)
    ),
    measures=_CURVE,
    claims=_u_shape(measures.DISTANCE, "3.5"),
    axis="guidance by text",
  ),
)
