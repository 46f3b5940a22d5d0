"""What people call the clips that they cut from a video of YouTube."""

from __future__ import annotations


def clip_names(video: str, start: float, end: float) -> tuple[str, ...]:
  """Names of a clip's file without suffix, the most telling ones first.

  VGGSound's own scripts have <id>_<start, six digits>; downloaders of AudioSet
  put both ends behind the id, in seconds or in thousandths, and a Y before it,
  since file names that begin with "-" are a nuisance; AudioSet-strong names a
  segment by its start in thousandths. A file that has the id alone is taken for
  the clip, not for the whole video.

  Args:
    video: the eleven letters.
    start, end: seconds in the video.
  """
  marks = (
    f"_{start:06.0f}",
    f"_{start:06.0f}_{end:06.0f}",
    f"_{start:.3f}_{end:.3f}",
    f"_{start:.1f}_{end:.1f}",
    f"_{start:.0f}_{end:.0f}",
    f"_{1000 * start:.0f}_{1000 * end:.0f}",
    f"_{1000 * start:.0f}",
    f"_{start:.0f}",
    "",
  )
  return tuple(
    f"{before}{video}{mark}" for mark in marks for before in ("", "Y")
  )
