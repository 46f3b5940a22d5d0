"""What sounds on and on: the filter of VGGSound-Continuous, and of the yard.

Smooth-Foley (arXiv 2412.18157; papers.md 5.1) trains and tests on the clips of
VGGSound whose label implies a continuous sound, without those whose sound does
not match their label, by text-to-audio grounding. It publishes neither the
list nor the rule: both here are ours (papers.md 5.3).
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from vta.data.yard import scene

# Names of VGGSound's classes, spelt as it spells them. In: what sounds without
# a break for as long as it runs, flows or blows. Out: what is made of blows,
# calls, words or notes, however fast they follow each other, and what starts,
# accelerates or passes.
VGGSOUND = frozenset(
  (
    "air conditioning noise",
    "airplane",
    "airplane flyby",
    "ambulance siren",
    "arc welding",
    "bathroom ventilation fan running",
    "bee, wasp, etc. buzzing",
    "car engine idling",
    "chainsawing trees",
    "civil defense siren",
    "cutting hair with electric trimmers",
    "driving buses",
    "driving motorcycle",
    "driving snowmobile",
    "electric grinder grinding",
    "electric shaver, electric razor shaving",
    "eletric blender running",
    "fire crackling",
    "fire truck siren",
    "fly, housefly buzzing",
    "hail",
    "hair dryer drying",
    "hedge trimmer running",
    "helicopter",
    "lathe spinning",
    "lawn mowing",
    "mosquito buzzing",
    "motorboat, speedboat acceleration",
    "ocean burbling",
    "police car (siren)",
    "race car, auto racing",
    "railroad car, train wagon",
    "raining",
    "running electric fan",
    "sailing",
    "sea waves",
    "skiing",
    "spraying water",
    "stream burbling",
    "subway, metro, underground",
    "tornado roaring",
    "tractor digging",
    "underwater bubbling",
    "using sewing machines",
    "vacuum cleaner cleaning floors",
    "waterfall burbling",
    "wind noise",
    "wind rustling leaves",
  )
)
# Things of the yard that last: all that drives or flies and what flows or
# blows. Birds and crickets sing in pieces, a saw goes to and fro.
YARD = frozenset(
  ("car", "motorbike", "plane", "rain", "siren", "stream", "train", "wind")
)

SCORE, SHARE = 0.5, 0.6  # papers.md 5.3


def is_continuous(label: str) -> bool:
  """Whether a label of VGGSound or of the yard implies a continuous sound."""
  words = " ".join(label.lower().split())
  return words in VGGSOUND or words in YARD


def grounded(
  similarity: Float[np.ndarray, "f"],
  *,
  score: float = SCORE,
  share: float = SHARE,
) -> bool:
  """Whether a clip sounds like its label for most of its length.

  Args:
    similarity: of sound and label, 0 to 1, at frames equally far apart.
    score: what counts as alike is above it.
    share: of the frames, that have to be more than it.
  """
  if not len(similarity):
    return False
  return bool(np.mean(similarity > score) > share)


def is_continuous_scene(staged: scene.Scene) -> bool:
  """Whether all that sounds in a scene of the yard does so on and on.

  The grounding rule with the truth for a score: each source is a thing that
  lasts, and is on for most of the clip. Holds for 1 scene in 8, for ablations
  to draw by trying indices.
  """
  times = (np.arange(100) + 0.5) * (staged.duration / 100)
  return bool(staged.sources) and all(
    source.thing in YARD and grounded(source.active(times))
    for source in staged.sources
  )
