"""Smooth-Foley: frames one by one, and events by the label, on what lasts.

Both adapters are trained apart from each other beside the text's base and put
together, as there (papers.md 5.1). "Clip-wise" is FoleyCrafter's frames, one
token for all. "Plain detection" is events by a predictor's head, which says
when anything sounds; the paper's is FoleyCrafter's onset detector.
"""

from __future__ import annotations

from vta.data import continuous
from vta.data.yard import truth
from vta.evaluation import ablation, measures, stand
from vta.inference import label_events
from vta.signals import cues

TRAININGS = {
  "text": ablation.Training(config="composed.py:text-yard"),
  "smooth_foley": ablation.Training(
    config="composed.py:smooth_foley-yard", base="text"
  ),
  "smooth_foley-clip": ablation.Training(
    config="composed.py:smooth_foley-clip-yard", base="text"
  ),
  # The same rows, records and seed as SonicVisionLM's branch: one training.
  "sonicvision": ablation.Training(
    config="composed.py:sonicvision-yard", base="text"
  ),
  "both": ablation.Training(base="text", joins=("smooth_foley", "sonicvision")),
  ablation.LABELS: ablation.Training(config="label_similarity.py:yard"),
}


# Of all rows, the base's own: at the paper's 7.5 so small a model overdoes it.
_GUIDED = {"guidance": (3.0,)}


def _label(clip) -> str:
  """What the data set would call the clip: its things, in words."""
  return " and ".join(dict.fromkeys(s.thing for s in clip.staged.sources))


def _named(clip, props):
  return cues.Track(text=_label(clip))


def _with(events):
  def track(clip, props):
    return cues.Track(text=_label(clip), events=events(clip, props))

  return track


def _detected(clip, props):
  return props.heads.expect(clip.frames, stand.DURATION).events


def _guided(clip, props):
  labels = dict.fromkeys(s.thing for s in clip.staged.sources)
  similarity = props.labels.similarity(
    props.labels.see(clip.frames), tuple(labels)
  )
  return label_events.union(label_events.events(similarity, stand.DURATION))


def _in_view(staged) -> bool:
  return bool(staged.sources) and all(s.on_screen for s in staged.sources)


def _lasts_in_view(staged) -> bool:
  return _in_view(staged) and continuous.is_continuous_scene(staged)


def _seen(
  name: str,
  training: str,
  *,
  pictures: bool = True,
  paper: tuple[str, ...] = (),
) -> ablation.Row:
  return ablation.Row(
    name=name,
    training=training,
    track=_named,
    pictures=pictures,
    settings=_GUIDED,
    paper=paper,
  )


def _timed(name: str, track, paper: tuple[str, ...] = ()) -> ablation.Row:
  return ablation.Row(
    name=name,
    training="both",
    track=track,
    settings={**_GUIDED, "strengths": {"events": 1.0}},
    paper=paper,
  )


_MEASURES = (
  measures.DISTANCE,
  measures.SPECTRUM,
  measures.ONSETS,
  measures.EVENTS,
)
TABLES = (
  ablation.Ablation(
    title="Smooth-Foley, Tables 1 and 2: frame-wise against clip-wise",
    columns=("MKL VGG-C", "MKL VGG", "FAD PANNs VGG-C", "FAD VGGish VGG-C"),
    wanted=_in_view,
    rows=(
      _seen("label", "text", pictures=False),
      _seen(
        "label, clip-wise",
        "smooth_foley-clip",
        paper=("1.559", "2.498", "32.99", "5.78"),
      ),
      _seen(
        "label, frame-wise",
        "smooth_foley",
        paper=("1.558", "2.515", "33.54", "5.44"),
      ),
    ),
    measures=_MEASURES,
    claims=tuple(
      ablation.Claim(better=better, worse=worse, measure=measure)
      for better, worse in (
        ("label, clip-wise", "label"),
        ("label, frame-wise", "label, clip-wise"),
      )
      for measure in (measures.DISTANCE, measures.ONSETS, measures.EVENTS)
    ),
  ),
  ablation.Ablation(
    title="Smooth-Foley, Table 1: events by label on what lasts",
    columns=("MKL VGG-C", "FAD CLAP VGG-C", "FAD VGGish VGG-C"),
    wanted=_lasts_in_view,
    rows=(
      _timed("no events", _named),
      # FoleyCrafter with a prompt, whose events a detector gives.
      _timed("plain detection", _with(_detected), ("3.937", ".25", "8.58")),
      _timed("label-guided", _with(_guided), ("1.558", ".18", "5.44")),
      _timed(
        "true events", _with(lambda clip, props: truth.events(clip.heard))
      ),
    ),
    measures=_MEASURES,
    claims=tuple(
      ablation.Claim(
        better="label-guided", worse="plain detection", measure=measure
      )
      for measure in (measures.DISTANCE, measures.SPECTRUM, measures.EVENTS)
    ),
  ),
)
