"""The one time axis: seconds from the clip's start, and resampling on it.

Signals live at 2, 6, 10, 15 and 25 Hz and meet latents at 21.53 Hz. They are
matched by time stamps, never by index: index arithmetic is right only while
both rates divide the clip, and drifts silently when they do not.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int, Shaped

SAMPLE_RATE = 44_100


def centres(
  count: int, rate: float | int, start: float | int = 0.0
) -> Float[np.ndarray, "n"]:
  """Centres of `count` consecutive bins of 1 / rate seconds from `start`."""
  return start + (np.arange(count) + 0.5) / rate


def check_increasing(times: Float[np.ndarray, "n"]) -> None:
  """Raises ValueError unless times are finite, strictly increasing, not empty.

  A binary search in unsorted stamps does not fail, it answers nonsense.
  """
  if times.ndim != 1 or not times.size:
    raise ValueError(f"times must be a non-empty vector, not {times.shape}")
  # Between finite ends all that increases is finite; of NaN nothing is true.
  increasing = (times[1:] > times[:-1]).all()
  if not (increasing and np.isfinite(times[0]) and np.isfinite(times[-1])):
    raise ValueError("times must be finite and strictly increasing")


def interpolate(
  values: Float[np.ndarray, "n ..."],
  times: Float[np.ndarray, "n"],
  at: Float[np.ndarray, "m"],
) -> Float[np.ndarray, "m ..."]:
  """Linear interpolation on time stamps; the first and last value are held.

  Args:
    values: what is known, in any trailing shape.
    times: the values' stamps, s, strictly increasing.
    at: the stamps asked for, s, in any order.

  Returns:
    The values at `at`, in the values' dtype, computed in float64.
  """
  if len(times) == 1:
    check_increasing(times)
    return np.repeat(values, len(at), axis=0)
  left, weight = weights(times, at)
  weight = weight.reshape(-1, *[1] * (values.ndim - 1))
  low, high = (values[i].astype(np.float64) for i in (left, left + 1))
  # Exact at the stamps; the clip removes the rounding error in between, which
  # would push a curve at its bound (0, 1, -70 LUFS) past it.
  between = low * (1 - weight) + high * weight
  between = np.clip(between, np.minimum(low, high), np.maximum(low, high))
  return between.astype(values.dtype)


def weights(
  times: Float[np.ndarray, "n"], at: Float[np.ndarray, "m"]
) -> tuple[Int[np.ndarray, "m"], Float[np.ndarray, "m"]]:
  """Linear interpolation as numbers, for who interpolates on a device.

  Args:
    times: the stamps of what is known, s, strictly increasing, at least two.
    at: the stamps asked for, s.

  Returns:
    left: index of the stamp before; the one after is left + 1.
    weight: share of the one after, 0 to 1; ends are held.
  """
  check_increasing(times)
  left = np.clip(
    np.searchsorted(times, at, side="right") - 1, 0, len(times) - 2
  )
  weight = (at - times[left]) / (times[left + 1] - times[left])
  return left, np.clip(weight, 0.0, 1.0)


def nearest_index(
  times: Float[np.ndarray, "n"], at: Float[np.ndarray, "m"]
) -> Int[np.ndarray, "m"]:
  """Index of the stamp nearest to each of `at`; the earlier one on a tie."""
  check_increasing(times)
  middles = (times[1:] + times[:-1]) / 2
  return np.searchsorted(middles, at, side="left")


def nearest(
  values: Shaped[np.ndarray, "n ..."],
  times: Float[np.ndarray, "n"],
  at: Float[np.ndarray, "m"],
) -> Shaped[np.ndarray, "m ..."]:
  """The value with the nearest stamp: for what has no in-between (0 or 1)."""
  return values[nearest_index(times, at)]


def knots(
  times: Float[np.ndarray, "n"], start: float | int, end: float | int
) -> Float[np.ndarray, "m"]:
  """The stamps strictly inside start..end, and start and end themselves.

  A curve interpolated at these is the same curve between start and end.
  """
  if not start < end:
    raise ValueError(f"nothing lies between {start} s and {end} s")
  inside = times[(times > start) & (times < end)]
  return np.concatenate([[float(start)], inside, [float(end)]])
