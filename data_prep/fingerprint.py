"""What a clip looks and sounds like, short, to find it again in other files.

A copy in another container has the same pictures and the same sound, but other
bytes, and time stamps that are rounded otherwise: digests would not find it.
So prints are compared, and only those that share a rare piece are. Both pieces
are old: the signs of differences between neighbouring cells of a picture of 8
x 8 (dHash), and those of differences of differences between bands and blocks
of sound (Haitsma and Kalker, ISMIR 2002).
"""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Iterator

import numpy as np

from vta.signals import timing

RATE = 4.0  # pictures, and blocks of sound, a second
SIDE = 32  # pixels of the pictures that prints are made of
_EDGES = np.array([60, 150, 300, 600, 1200, 2400, 4800, 9600, 20_000])  # Hz
_FLOOR = -70.0  # dB of full scale
_WINDOW = 8  # blocks of the piece of sound that is looked up
# How far two prints of one content may be apart: a cell's sign flips where its
# neighbour is as bright, a level where a block's edge moves by a sample.
_FLIPPED = 4.0  # of 64 signs, on average
_OFF = 1.0  # dB, on average
# A piece that so many clips share (black, a title, a test tone) says nothing.
_COMMON = 64


@dataclasses.dataclass(frozen=True, kw_only=True)
class Print:
  """A clip's print.

  Attributes:
    picture: 64 signs a picture, [n, 64]; n is 0 where there is none.
    sound: dB in bands of an octave or so, a row each 1 / RATE s, [m, 8].
  """

  picture: np.ndarray
  sound: np.ndarray

  def text(self) -> str:
    """Both in letters, for JSON."""
    parts = np.packbits(self.picture, axis=-1), (-self.sound).astype(np.uint8)
    return " ".join(base64.b64encode(part.tobytes()).decode() for part in parts)

  @classmethod
  def of_text(cls, text: str) -> Print:
    """Inverse of `text`."""
    picture, sound = (
      np.frombuffer(base64.b64decode(part), np.uint8).reshape(-1, 8)
      for part in text.split(" ")
    )
    return cls(
      picture=np.unpackbits(picture, axis=-1).astype(bool),
      sound=-sound.astype(np.float32),
    )


def of_clip(wave: np.ndarray, pictures: np.ndarray | None) -> Print:
  """The print of sound [t, 2] at 44.1 kHz and of pictures [n, 32, 32, 3]."""
  signs = np.zeros((0, 64), bool)
  if pictures is not None:
    grey = pictures.astype(np.float32).mean(axis=-1)
    rows, columns = (np.linspace(0, SIDE, n + 1).astype(int) for n in (8, 9))
    cells = np.add.reduceat(grey, rows[:-1], axis=1)
    cells = np.add.reduceat(cells, columns[:-1], axis=2) / np.diff(columns)
    signs = (np.diff(cells, axis=2) > 8.0).reshape(len(cells), 64)
  return Print(picture=signs, sound=_levels(wave))


def _levels(wave: np.ndarray) -> np.ndarray:
  size = round(timing.SAMPLE_RATE / RATE)
  count = max(len(wave) // size, 1)
  mono = wave.mean(axis=1)[: count * size]
  blocks = np.pad(mono, (0, count * size - len(mono))).reshape(count, size)
  power = np.abs(np.fft.rfft(blocks * np.hanning(size))) ** 2
  bins = np.round(_EDGES * size / timing.SAMPLE_RATE).astype(int)
  bands = np.add.reduceat(power[:, : bins[-1]], bins[:-1], axis=1)
  # A full-scale sine's energy under Hann's window, on one side, is 0 dB.
  level = 10 * np.log10(np.maximum(bands / (size**2 / 10.7), 1e-12))
  return np.round(np.clip(level, _FLOOR, 0.0))


def alike(one: Print, other: Print) -> bool:
  """Whether both are of the same content from the same moment on."""
  if abs(len(one.sound) - len(other.sound)) > 1:
    return False
  heard = min(len(one.sound), len(other.sound))
  first, second = one.sound[:heard], other.sound[:heard]
  sounding = np.maximum(first, second) > _FLOOR
  # Bands in which nothing sounds agree in everything.
  off = np.abs(first - second)[sounding]
  if not len(off) or off.mean() > _OFF:
    return False
  seen = min(len(one.picture), len(other.picture))
  # A film's sound is known again without the film.
  flipped = one.picture[:seen] != other.picture[:seen]
  return not seen or flipped.sum(axis=1).mean() <= _FLIPPED


def _pieces(one: Print) -> Iterator[bytes]:
  """What is looked up, once a second; a copy has most of these exactly."""
  every = round(RATE)
  for signs in one.picture[::every]:
    # Of a flat picture the signs are noise, or none.
    if 4 <= signs.sum() <= 60:
      yield b"p" + np.packbits(signs).tobytes()
  change = np.diff(np.diff(one.sound, axis=1), axis=0) > 0.5
  size = min(_WINDOW, len(change))
  for first in range(0, len(change) - size + 1, every):
    yield b"s" + np.packbits(change[first : first + size]).tobytes()


class Index:
  """Clips by what they look and sound like."""

  def __init__(self):
    self._names: list[str] = []
    self._texts: list[str] = []
    self._by_piece: dict[bytes, tuple[int, ...]] = {}

  def find(self, one: Print) -> str | None:
    """The first of the clips with the same content, if there is one."""
    found = {
      row for piece in _pieces(one) for row in self._by_piece.get(piece, ())
    }
    for row in sorted(found):
      if alike(Print.of_text(self._texts[row]), one):
        return self._names[row]
    return None

  def add(self, name: str, one: Print) -> None:
    """Adds a clip."""
    row = len(self._names)
    self._names.append(name)
    self._texts.append(one.text())
    for piece in set(_pieces(one)):
      rows = self._by_piece.get(piece, ())
      if len(rows) < _COMMON:
        self._by_piece[piece] = (*rows, row)
