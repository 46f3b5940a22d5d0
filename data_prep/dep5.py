"""Licences of single files, from Debian's machine-readable copyright files.

The format (DEP-5, https://www.debian.org/doc/packaging-manuals/
copyright-format/1.0/) lists patterns of source paths with their licences; of
the patterns that match a path the last one counts. A package installs files
elsewhere than its source has them, and only their names stay the same. So a
licence is known for the files that a stanza names in full, and for no other:
"data/*" does not say which installed files it is about.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping

Stanza = Mapping[str, str]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Terms:
  """What is said of one file.

  Attributes:
    licence: Debian's short name, or several with "or" and "and".
    holder: its copyright statements, on one line; may be empty.
    source: where it comes from; empty when not said.
  """

  licence: str
  holder: str
  source: str


def stanzas(text: str) -> list[Stanza]:
  """Splits into stanzas of fields; names in lower case, lines kept."""
  found: list[dict[str, str]] = [{}]
  name = None
  for line in text.splitlines():
    if line.startswith("#"):
      continue
    if not line.strip():
      found.append({})
      name = None
    elif line[0] in " \t":
      if name:
        found[-1][name] += "\n" + line.strip()
    else:
      name, _, value = line.partition(":")
      name = name.strip().lower()
      found[-1][name] = value.strip()
  return [stanza for stanza in found if stanza]


def is_dep5(text: str) -> bool:
  """Whether the text declares the machine-readable format."""
  first = next(iter(stanzas(text)), {})
  return "copyright-format/1.0" in first.get("format", "")


def terms(text: str) -> dict[str, Terms]:
  """What is said of each file that a stanza names in full.

  Returns:
    By the file's name without its folder. Left out are names that several
    folders have, since an installed file could be either.
  """
  header, *rest = stanzas(text)
  rest = [stanza for stanza in rest if "files" in stanza]
  paths = {
    path
    for stanza in rest
    for path in stanza["files"].split()
    if not set(path) & set("*?\\")
  }
  names = [path.rpartition("/")[2] for path in paths]
  return {
    name: _terms(path, rest, header)
    for path, name in zip(paths, names, strict=True)
    if names.count(name) == 1
  }


def _terms(path: str, files: list[Stanza], header: Stanza) -> Terms:
  last = [
    stanza
    for stanza in files
    if any(_matches(pattern, path) for pattern in stanza["files"].split())
  ][-1]
  return Terms(
    licence=last.get("license", "").partition("\n")[0].strip(),
    holder=" ".join(last.get("copyright", "").split()),
    source=" ".join((last.get("source") or header.get("source", "")).split()),
  )


def _matches(pattern: str, path: str) -> bool:
  """As in fnmatch, but "*" and "?" match "/", and "[" is a letter."""
  parts = re.findall(r"\\.|.", pattern)
  wild = {"*": ".*", "?": "."}
  regex = "".join(wild.get(part) or re.escape(part[-1]) for part in parts)
  return re.fullmatch(regex, path) is not None
