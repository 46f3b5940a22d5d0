"""What is said of a clip: its captions, or sentences made of its labels.

Where a data set has labels and no captions, as VGGSound, Tri-Ergon prefixes the
label by one of five beginnings, at random (papers.md 3.1). Features of text are
computed once, so all five are captions of the clip, and training draws one of
them at each visit.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

PREFIXES = (
  "The sound of",
  "A sound of",
  "The audio of",
  "A recording of",
  "A clip of",
)


def of(meta: Mapping[str, Any], *, most: int) -> list[str]:
  """Captions to encode.

  Args:
    meta: of a record; "labels", if it has some, are names of classes.
    most: how many captions are kept; the sentences on labels, which all say the
      same, count as one. Several labels are one enumeration (ours; VGGSound has
      one label a clip).
  """
  captions = list(meta["captions"])[:most]
  labels = ", ".join(meta.get("labels", ()))
  if captions or not labels or not most:
    return captions
  return [f"{prefix} {labels}" for prefix in PREFIXES]
