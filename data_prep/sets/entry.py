"""The entry: one clip of a data set, before anything has opened its media."""

from __future__ import annotations

import dataclasses
import hashlib
import math
import re

SPLITS = ("train", "validation", "test")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Event:
  """Something that a set says sounds, seconds from its clip's start.

  One that starts and ends at once is an onset whose end nobody wrote down.
  """

  start: float
  end: float
  label: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Entry:
  """What a data set says of a clip.

  Attributes:
    id: unique in its set, of letters that every file system takes.
    source: what the clip was cut from (a video, a recording, a speaker); the
      clips of a source are never on two sides of a split.
    media: the file, relative to the set's folder, with "/" on every system.
    start, end: the stretch of the file that the clip is, seconds; an end of
      infinity is the file's.
    captions: sentences on the clip, any of which will do.
    labels: names of classes.
    events: what sounds when, for sets that say so.
    licence: of the clip, as the set gives it; empty where it does not.
  """

  id: str
  source: str
  media: str
  start: float = 0.0
  end: float = math.inf
  captions: tuple[str, ...] = ()
  labels: tuple[str, ...] = ()
  events: tuple[Event, ...] = ()
  licence: str = ""

  def __post_init__(self):
    if not 0.0 <= self.start < self.end:
      raise ValueError(f"{self.id}: {self.start} to {self.end} is no stretch")

  def joined(self, other: Entry) -> Entry:
    """This entry with what another row of the same clip says besides.

    Raises:
      ValueError: the rows disagree on what the clip is.
    """
    if dataclasses.replace(other, captions=(), labels=(), events=()) != (
      dataclasses.replace(self, captions=(), labels=(), events=())
    ):
      raise ValueError(f"two rows of {self.id} disagree on where it is from")
    return dataclasses.replace(
      self,
      **{
        name: tuple(dict.fromkeys(getattr(self, name) + getattr(other, name)))
        for name in ("captions", "labels", "events")
      },
    )


def safe_id(name: str) -> str:
  """A name of letters, digits, ".", "_" and "-" that is as unique as `name`."""
  made = re.sub(r"[^A-Za-z0-9._-]", "_", name)
  if made == name:
    return name
  return f"{made}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
