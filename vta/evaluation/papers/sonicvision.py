"""SonicVisionLM: its time condition (Table 5) and the branch's scale (Fig. 6).

Text alone is the frozen base, as Tango is in the paper; events enter by the
control branch beside it (papers.md 2.1, 2.4, 8).
"""

from __future__ import annotations

from vta.data.yard import truth
from vta.evaluation import ablation, measures, stand
from vta.signals import cues

TRAININGS = {
  "text": ablation.Training(config="composed.py:text-yard"),
  "sonicvision": ablation.Training(
    config="composed.py:sonicvision-yard", base="text"
  ),
}


def _said(clip, props):
  return cues.Track(text=stand.caption(clip))


def _timed(clip, props):
  return cues.Track(text=stand.caption(clip), events=truth.events(clip.heard))


def _sounds(staged) -> bool:
  return bool(staged.sources)


def _at(scale: float) -> ablation.Row:
  return ablation.Row(
    name=f"scale {scale:g}",
    training="sonicvision",
    track=_timed,
    pictures=False,
    settings={"strengths": {"events": scale}},
    x=scale,
  )


TABLES = (
  ablation.Ablation(
    title="SonicVisionLM, Table 5: the time condition",
    columns=("FD", "FAD", "KL", "IoU %"),
    wanted=_sounds,
    rows=(
      ablation.Row(
        name="text",
        training="text",
        track=_said,
        pictures=False,
        paper=("44.9", "11.5", "3.47", "41.3"),
      ),
      ablation.Row(
        name="text and events",
        training="sonicvision",
        track=_timed,
        pictures=False,
        paper=("26.2", "2.05", "2.30", "71.6"),
      ),
    ),
    measures=(measures.DISTANCE, measures.SPECTRUM, measures.EVENTS),
    claims=(
      ablation.Claim(
        better="text and events", worse="text", measure=measures.EVENTS
      ),
      ablation.Claim(
        better="text and events", worse="text", measure=measures.DISTANCE
      ),
    ),
  ),
  ablation.Ablation(
    title="SonicVisionLM, Figure 6: the control branch's scale",
    columns=(),
    wanted=_sounds,
    rows=tuple(_at(scale) for scale in (0.0, 0.6, 1.0, 1.5, 2.0, 3.0)),
    measures=(measures.DISTANCE, measures.EVENTS),
    claims=(
      ablation.Claim(
        better="scale 2", worse="scale 0.6", measure=measures.EVENTS
      ),
      ablation.Claim(
        better="scale 2", worse="scale 3", measure=measures.EVENTS
      ),
    ),
    axis="scale of the control branch",
  ),
)
