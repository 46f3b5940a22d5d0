"""Captions of a scene: a small grammar with synonyms.

The words are in `phrases`. What a caption says is true of the scene: thing,
material, size, direction, pace, and that something is not in the picture,
which the caption alone can tell.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from vta.data.yard import phrases, scene

_JOINTS = (" and ", " while ", ", ", " as ")


def captions(
  staged: scene.Scene,
  sources: Sequence[int] | None = None,
  *,
  rng: np.random.Generator,
  count: int = 12,
) -> list[str]:
  """Paraphrases of what is heard.

  Args:
    staged: the scene.
    sources: indices of those to speak of; all by default.
    rng: chooses the words.
    count: how many; a few may be the same.
  """
  chosen = _chosen(staged, sources)
  return [_caption(rng, chosen, held_out=False) for _ in range(count)]


def held_out_captions(
  staged: scene.Scene,
  sources: Sequence[int] | None = None,
  *,
  rng: np.random.Generator,
  count: int = 4,
) -> list[str]:
  """Paraphrases in words that `captions` never uses, to test understanding."""
  chosen = _chosen(staged, sources)
  return [_caption(rng, chosen, held_out=True) for _ in range(count)]


def _chosen(staged, sources):
  indices = range(len(staged.sources)) if sources is None else sources
  return [staged.sources[i] for i in indices]


def _pick(rng, words) -> str:
  return str(words[rng.integers(len(words))])


def _caption(rng, sources, *, held_out) -> str:
  if not sources:
    words = phrases.HELD_OUT_SILENCE if held_out else phrases.SILENCE
    return _pick(rng, words)
  order = rng.permutation(len(sources))
  parts = [_part(rng, sources[i], held_out=held_out) for i in order]
  joined = parts[0]
  for part in parts[1:]:
    joined += _pick(rng, _JOINTS) + part
  return joined


def _part(rng, source, *, held_out) -> str:
  """What is said of one source."""
  words = phrases.PHRASES[source.thing]
  if held_out:
    template = _pick(rng, words.held_out)
  elif rng.random() < 0.3:
    template = _pick(rng, words.short)
  else:
    template = _pick(rng, words.subjects) + " " + _pick(rng, words.actions)
  text = template.format(**_slots(rng, source, held_out=held_out))
  # A fall's rebounds come faster and faster: they have no pace of their own.
  falls = source.thing in ("ball", "block")
  if len(source.contacts) and not falls and rng.random() < 0.4:
    text += " " + _pace(rng, source.contacts)
  if not source.on_screen:
    where = phrases.HELD_OUT_OFF_SCREEN
    text += " " + (where if held_out else _pick(rng, phrases.OFF_SCREEN))
  # A size left unsaid leaves two spaces, and "a" before its noun.
  return re.sub(r"\ba (?=[aeiou])", "an ", " ".join(text.split()))


def _slots(rng, source, *, held_out) -> dict[str, str]:
  """The words for a source's properties; size is not always mentioned."""
  name = source.size_name
  size = made = stuff = ""
  if held_out:
    size = phrases.HELD_OUT_SIZES[name]
  elif rng.random() < 0.75:
    size = _pick(rng, phrases.SIZES[name])
  if source.material is not None:
    made = _pick(rng, phrases.MADE[source.material])
    stuff = _pick(rng, phrases.STUFF[source.material])
    if held_out:
      made = stuff = phrases.HELD_OUT_STUFF[source.material]
  return {
    "size": size,
    "made": made,
    "stuff": stuff,
    "way": _way(source),
    "rain": phrases.WEATHER[name],
    "wind": phrases.WIND[name],
  }


def _way(source) -> str:
  """The direction of its first interval: across, away, nearer, or past."""
  if not source.on_screen or not len(source.intervals):
    return "past"
  start, end = source.route.at(source.intervals[0])
  if source.thing == "plane":
    return "away" if end[2] > start[2] else "closer"
  return "to the right" if end[0] > start[0] else "to the left"


def _pace(rng, contacts) -> str:
  """How fast the contacts follow each other."""
  if len(contacts) == 1:
    return _pick(rng, ("once", "one time"))
  gap = float(np.median(np.diff(contacts)))
  if gap < 0.25:
    return _pick(rng, ("rapidly", "very fast"))
  if gap < 0.7:
    return _pick(rng, ("repeatedly", "again and again", "several times"))
  return _pick(rng, ("slowly", "now and then"))
