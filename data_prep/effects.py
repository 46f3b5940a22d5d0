"""A Debian package of recorded effects to a folder for `vta yard`.

  apt-get download sonic-pi-samples
  python -m data_prep.effects --deb sonic-pi-samples_*.deb --out data/effects
  python -m vta yard --out data/yard/real --clips 8000 --recordings data/effects

Takes the files whose name says what is heard (`NAMES`) and whose licence, told
file by file in the package's copyright file, lets a checkpoint be shipped.
"public-domain" is not taken: under that name Debian keeps statements of every
kind, which a person has to read.
"""

from __future__ import annotations

import argparse
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

from data_prep import dep5
from vta import errors, files
from vta.data.yard import recordings
from vta.signals import document

# Words that a name holds -> thing and material; the first row that fits counts.
# Words are runs of letters: "cowbell" holds no "bell".
NAMES: tuple[tuple[frozenset[str], tuple[str, str | None] | None], ...] = tuple(
  (frozenset(words.split()), what)
  for words, what in (
    # Phrases and machines, not one strike of one thing.
    ("loop", None),
    ("roll", None),
    ("elec", None),
    ("glitch", None),
    ("tabla", ("stick", "drum skin")),
    ("drum tom", ("stick", "drum skin")),
    ("drum snare", ("stick", "drum skin")),
    ("drum bass", ("stick", "drum skin")),
    ("footstep wood", ("footsteps", "wood")),
    ("footstep metal", ("footsteps", "metal")),
    ("footstep stone", ("footsteps", "stone")),
    ("footstep gravel", ("footsteps", "gravel")),
    ("footstep snow", ("footsteps", "snow")),
    ("bell", ("bell", None)),
    ("siren", ("siren", None)),
    ("rain", ("rain", None)),
    ("stream", ("stream", None)),
    ("wind", ("wind", None)),
    ("birds", ("birds", None)),
    ("crickets", ("crickets", None)),
  )
)
# Debian's short names for what recordings.LICENCES allows.
_SPDX = {
  "cc0": "CC0-1.0",
  "cc0-1.0": "CC0-1.0",
  "cc-by-3.0": "CC-BY-3.0",
  "cc-by-4.0": "CC-BY-4.0",
}
_AUDIO = {".flac", ".mp3", ".oga", ".ogg", ".opus", ".wav"}


def thing_of(name: str) -> tuple[str, str | None] | None:
  """The thing and material that a file's name speaks of, if any."""
  words = set(re.findall("[a-z]+", pathlib.Path(name).stem.lower()))
  return next((what for row, what in NAMES if row <= words), None)


def spdx(licence: str) -> str | None:
  """The SPDX id of the first alternative that is allowed, if any.

  Of "A or B" one may choose. Anything with "and", "with" or a comma is no
  single licence and is not taken.
  """
  choices = [licence] if "," in licence else re.split(r"\s+or\s+", licence)
  known = (_SPDX.get(choice.strip().lower()) for choice in choices)
  return next((found for found in known if found), None)


def entries(
  found: list[pathlib.Path], terms: dict[str, dep5.Terms]
) -> dict[pathlib.Path, dict[str, str]]:
  """Manifest entries of the files that may be and can be used.

  Args:
    found: installed audio files.
    terms: what is said of files, by name.
  """
  out = {}
  names = [path.name for path in found]
  for path in found:
    told, what = terms.get(path.name), thing_of(path.name)
    licence = spdx(told.licence) if told else None
    if not (licence and what) or names.count(path.name) > 1:
      continue
    if licence.startswith("CC-BY") and not told.holder:
      continue
    thing, material = what
    entry = {
      "file": path.name,
      "thing": thing,
      "material": material,
      "licence": licence,
      "attribution": told.holder,
      "source": told.source,
    }
    out[path] = {key: value for key, value in entry.items() if value}
  return out


def unpack(deb: pathlib.Path, folder: pathlib.Path) -> None:
  """Unpacks a package below `folder`, without running any of it.

  Raises:
    InputError: no such file, not a package, or dpkg-deb is missing.
  """
  if not deb.is_file():
    raise errors.InputError(deb, "cannot read: no such file")
  if not shutil.which("dpkg-deb"):
    raise errors.InputError(deb, "needs dpkg-deb, which is not installed")
  done = subprocess.run(
    ["dpkg-deb", "-x", deb, folder], capture_output=True, text=True
  )
  if done.returncode:
    said = " ".join(done.stderr.split())
    raise errors.InputError(deb, f"is not a Debian package: {said}")


def read_terms(
  deb: pathlib.Path, folder: pathlib.Path
) -> dict[str, dep5.Terms]:
  """What the unpacked package says of its files.

  Raises:
    InputError: it does not say licences file by file.
  """
  found = list(folder.glob("usr/share/doc/*/copyright"))
  if len(found) != 1:
    raise errors.InputError(
      deb, f"holds {len(found)} copyright files; one is needed"
    )
  text = found[0].read_text(encoding="utf-8", errors="replace")
  if not dep5.is_dep5(text):
    raise errors.InputError(
      deb, "its copyright file is not machine-readable (DEP-5)"
    )
  return dep5.terms(text)


def convert(deb: pathlib.Path, out: pathlib.Path) -> None:
  """Writes the folder of recordings of a package, and says what is in it.

  Raises:
    InputError: the folder has recordings already, or the package has none
      that may be used.
  """
  manifest = out / recordings.MANIFEST
  if manifest.exists():
    raise errors.InputError(manifest, "exists; give each package its folder")
  with tempfile.TemporaryDirectory() as name:
    folder = pathlib.Path(name)
    unpack(deb, folder)
    terms = read_terms(deb, folder)
    found = [
      path
      for path in sorted(folder.rglob("*"))
      if path.suffix.lower() in _AUDIO
      and path.is_file()
      and not path.is_symlink()
    ]
    told = [path for path in found if path.name in terms]
    if not told:
      raise errors.InputError(
        deb,
        f"its copyright file gives no licence of a single file for any of its "
        f"{len(found)} audio files",
      )
    allowed = [path for path in told if spdx(terms[path.name].licence)]
    taken = entries(found, terms)
    counts = (
      f"{len(found)} audio files, {len(told)} with a licence of their own, "
      f"{len(allowed)} of them allowed, {len(taken)} taken"
    )
    if not taken:
      raise errors.InputError(deb, f"nothing to take: {counts}")
    out.mkdir(parents=True, exist_ok=True)
    for path, entry in taken.items():
      entry.setdefault("source", deb.name)
      shutil.copyfile(path, out / entry["file"])
  value = {"version": recordings.VERSION, "recordings": list(taken.values())}
  with files.atomic_path(manifest) as temporary:
    temporary.write_text(document.encode(value), encoding="utf-8")
  print(f"{deb.name}: {counts}")
  _report(recordings.load(out))


def _report(library: recordings.Library) -> None:
  """Prints how many recordings of each thing each split hears."""
  splits = ("train", "validation", "test")
  whats = sorted({(r.thing, r.material or "") for r in library.recordings})
  for what in whats:
    heard = [
      recordings.split_of(r.file)
      for r in library.recordings
      if (r.thing, r.material or "") == what
    ]
    shares = ", ".join(f"{split} {heard.count(split)}" for split in splits)
    print(f"  {' of '.join(filter(None, what))}: {shares}")


def main(arguments: list[str] | None = None) -> int:
  """Parses arguments and converts; prints an InputError as one line."""
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument("--deb", type=pathlib.Path, required=True)
  parser.add_argument("--out", type=pathlib.Path, required=True)
  args = parser.parse_args(arguments)
  try:
    convert(args.deb, args.out)
  except errors.InputError as error:
    print(f"error: {error}", file=sys.stderr)
    return 2
  return 0


if __name__ == "__main__":
  sys.exit(main())
