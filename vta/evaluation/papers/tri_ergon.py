"""Tri-Ergon, Table 3: text, loudness and reference sound beside the video.

Which conditions the paper's rows have is inferred (papers.md 8): its check
marks are lost. Loudness is predicted from the picture by a release's heads, as
T_LUFS does it there, and heard by the denoiser alone: that the sampler can
keep to a curve is ours and left off. The reference is the clip's true sound.
"""

from __future__ import annotations

from vta.data.yard import truth
from vta.evaluation import ablation, measures, stand
from vta.signals import cues

_TOKENS, _ALIGNED = "tri_ergon", "tri_ergon-aligned"
TRAININGS = {
  _TOKENS: ablation.Training(config="tri_ergon.py:yard"),
  _ALIGNED: ablation.Training(config="tri_ergon.py:yard-aligned"),
}


def _row(
  name: str, paper: tuple[str, ...] = (), *, training: str = _TOKENS
) -> ablation.Row:
  letters = name.split("+")

  def track(clip, props):
    loudness = None
    if "predicted" in letters:
      loudness = props.heads.expect(clip.frames, stand.DURATION).loudness
    elif "LUFS" in letters:
      loudness = truth.loudness(clip.heard)
    return cues.Track(
      text=stand.caption(clip) if "T" in letters else None,
      reference=props.recording(clip) if "A" in letters else None,
      loudness=loudness,
    )

  return ablation.Row(
    name=name,
    training=training,
    track=track,
    settings={"obey": False},
    paper=paper,
  )


def _in_view(staged) -> bool:
  return bool(staged.sources) and all(s.on_screen for s in staged.sources)


_D, _S, _O, _L = (
  measures.DISTANCE,
  measures.SPECTRUM,
  measures.ONSETS,
  measures.LUFS,
)
_MEASURES = (_D, _S, _O, _L)
TABLES = (
  ablation.Ablation(
    title="Tri-Ergon, Table 3: conditions",
    columns=("FD", "KL", "AV-Align"),
    wanted=_in_view,
    rows=(
      _row("V", ("144.57", "2.63", ".229")),
      _row("V+T", ("141.47", "2.61", ".229")),
      _row("V+T+predicted", ("103.82", "1.83", ".236")),
      _row("V+T+LUFS", ("96.23", "1.47", ".240")),
      _row("V+A", ("89.92", "1.79", ".232")),
      _row("V+T+A", ("89.65", "1.608", ".234")),
      _row("V+T+A+predicted", ("82.29", "1.06", ".238")),
      _row("V+T+A+LUFS", ("78.19", ".97", ".242")),
    ),
    measures=_MEASURES,
    claims=tuple(
      ablation.Claim(better=better, worse=worse, measure=measure)
      for better, worse, measure in (
        ("V+T", "V", _D),
        ("V+T", "V", _S),
        ("V+T+predicted", "V+T", _D),
        ("V+T+predicted", "V+T", _O),
        ("V+T+predicted", "V+T", _L),
        ("V+T+LUFS", "V+T+predicted", _D),
        ("V+T+LUFS", "V+T+predicted", _O),
        ("V+T+LUFS", "V+T+predicted", _L),
        ("V+A", "V+T", _D),
        ("V+A", "V+T", _S),
        ("V+T+A+LUFS", "V+T+A", _D),
        ("V+T+A+LUFS", "V+T+A", _O),
      )
    ),
  ),
  ablation.Ablation(
    title="Tri-Ergon with loudness at latent time in place of tokens (ours)",
    columns=(),
    wanted=_in_view,
    rows=tuple(
      _row(name, training=_ALIGNED)
      for name in ("V+T", "V+T+predicted", "V+T+LUFS", "V+T+A+LUFS")
    ),
    measures=_MEASURES,
    claims=tuple(
      ablation.Claim(better=better, worse=worse, measure=measure)
      for better, worse in (
        ("V+T+predicted", "V+T"),
        ("V+T+LUFS", "V+T+predicted"),
      )
      for measure in (_D, _O, _L)
    ),
  ),
)
