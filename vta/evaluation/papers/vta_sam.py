"""VTA-SAM: which conditions (Table 3), and how objects enter (Table 4).

Table 3 is one model with text, frames and objects, each dropped on its own in
training, where the paper trains five (ours); Table 4 is four models, as there.
"""

from __future__ import annotations

from vta.data.yard import truth
from vta.evaluation import ablation, measures, stand
from vta.signals import cues

_ROWS = ("vta_sam-v", "vta_sam-v_and_o", "vta_sam-o_plus_v", "vta_sam")
TRAININGS = {
  name: ablation.Training(config=f"composed.py:{name}-yard")
  for name in ("vta_sam-text", *_ROWS)
}
_MEASURES = (measures.DISTANCE, measures.SPECTRUM, measures.ONSETS)
_COLUMNS = ("FD", "FAD", "KL", "AV-Align")


def _in_view(staged) -> bool:
  return bool(staged.sources) and all(s.on_screen for s in staged.sources)


def _given(*, text: bool = False, objects: bool = False):
  def track(clip, props):
    return cues.Track(
      text=stand.caption(clip) if text else None,
      objects=truth.objects(clip.staged) if objects else None,
    )

  return track


def _modality(name: str, paper: tuple[str, ...]) -> ablation.Row:
  """A row of Table 3 by its letters: V is seen, O and T are asked for."""
  letters = name.split("+")
  return ablation.Row(
    name=name,
    training="vta_sam-text",
    track=_given(text="T" in letters, objects="O" in letters),
    pictures="V" in letters,
    paper=paper,
  )


def _fusion(name: str, training: str, paper: tuple[str, ...]) -> ablation.Row:
  return ablation.Row(
    name=name,
    training=training,
    track=_given(objects="O" in name),
    paper=paper,
  )


def _claims(*pairs: tuple[str, str]) -> tuple[ablation.Claim, ...]:
  return tuple(
    ablation.Claim(better=better, worse=worse, measure=measure)
    for better, worse in pairs
    for measure in (measures.DISTANCE, measures.ONSETS)
  )


TABLES = (
  ablation.Ablation(
    title="VTA-SAM, Table 3: text, video and objects",
    columns=_COLUMNS,
    wanted=_in_view,
    rows=(
      _modality("T", ("41.7", "4.7", "5.5", ".173")),
      _modality("V", ("30.3", "4.5", "5.0", ".204")),
      _modality("V+T", ("28.8", "3.8", "4.9", ".220")),
      _modality("V+O", ("25.1", "3.1", "4.5", ".255")),
      _modality("V+O+T", ("25.5", "3.0", "4.6", ".251")),
    ),
    measures=_MEASURES,
    claims=_claims(("V", "T"), ("V+T", "V"), ("V+O", "V+T")),
  ),
  ablation.Ablation(
    title="VTA-SAM, Table 4: fusions",
    columns=_COLUMNS,
    wanted=_in_view,
    rows=(
      _fusion("Z@V", "vta_sam-v", ("30.3", "4.5", "5.0", ".204")),
      _fusion("Z@(V+O)", "vta_sam-v_and_o", ("26.8", "3.5", "4.7", ".242")),
      _fusion("Z@O+V", "vta_sam-o_plus_v", ("28.3", "3.9", "4.6", ".233")),
      _fusion("Z@V+O", "vta_sam", ("25.1", "3.1", "4.5", ".255")),
    ),
    measures=_MEASURES,
    claims=_claims(("Z@V+O", "Z@V"), ("Z@V+O", "Z@(V+O)"), ("Z@V+O", "Z@O+V")),
  ),
)
