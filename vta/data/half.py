"""Half precision to single, several times as fast as NumPy does it.

Most of what a record holds are halves, and widening them was a third of the
input pipeline's work.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Float32

# Of a half that is moved up by 13 bits: its sign, exponent and mantissa.
_BITS = np.array(0x8FFFE000, np.uint32).view(np.int32)
# Between what the exponents of the two count from: 127 and 15.
_SCALE = np.float32(2.0**112)


def widen(
  array: Float[np.ndarray, "..."],
) -> Float32[np.ndarray, "..."]:
  """Finite numbers in single precision, as exactly as `astype` has them.

  Infinities, which no record holds, would become 65,536.
  """
  if array.dtype != np.float16:
    return array.astype(np.float32)
  # Widened as integers, the sign fills all that is above it.
  bits = array.view(np.int16).astype(np.int32)
  bits <<= 13
  bits &= _BITS
  single = bits.view(np.float32)
  single *= _SCALE
  return single
