"""Packages of recorded effects: only what is known to be allowed is taken."""

import pathlib
import shutil
import subprocess

import pytest
import soundfile
from effect_samples import RATE, noise

from data_prep import dep5, effects
from vta.data.yard import recordings, things

COPYRIGHT = """\
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Source: https://example.org/effects
# A comment.

Files: *
Copyright: 2010 Ann
License: CC0

Files: sounds/tabla_one.wav
 sounds/tabla_two.wav
Copyright: 2011 Bo <bo@example.org>
 2012 Cy
Source: https://example.org/tabla
License: CC-BY-3.0
 A text that is no name:
 .
 of a licence.

Files: sounds/bell.wav
Copyright: 2013 Di
License: CC0 or GPL-2+

Files: sounds/rain.wav
Copyright: 2013 Di
License: GPL-2+

Files: sounds/drum_tom.wav
Copyright: 2013 Di
License: CC0

Files: sounds/drum_*
Copyright: 2014 Ed
License: CC-BY-SA-4.0

Files: a/wind.wav
 b/wind.wav
Copyright: 2013 Di
License: CC0

Files: sounds/elec_bell.wav
Copyright: 2013 Di
License: CC0

Files: sounds/siren.wav
License: CC-BY-4.0

License: CC0
 The text of the licence.
"""
NAMES = (
  "tabla_one",
  "tabla_two",
  "bell",
  "rain",  # its licence is not allowed
  "drum_tom",  # a later stanza overrides the one that names it
  "wind",  # could be either of two files
  "elec_bell",  # not a recording
  "siren",  # nobody to attribute it to
  "birds",  # only "*" is about it
)


def build(tmp_path, *, names=NAMES, text: str | None = COPYRIGHT):
  """A package as Debian's, of silence-free little files."""
  root = tmp_path / "root"
  for part in ("DEBIAN", "usr/share/effects", "usr/share/doc/effects"):
    (root / part).mkdir(parents=True)
  (root / "DEBIAN" / "control").write_text(
    "Package: effects\nVersion: 1\nArchitecture: all\n"
    "Maintainer: Jo <jo@example.org>\nDescription: effects\n"
  )
  for seed, name in enumerate(names):
    path = root / "usr/share/effects" / f"{name}.wav"
    soundfile.write(path, noise(seed), RATE)
  if text is not None:
    (root / "usr/share/doc/effects/copyright").write_text(text)
  deb = tmp_path / "effects_1_all.deb"
  subprocess.run(
    ["dpkg-deb", "--root-owner-group", "-b", root, deb],
    check=True,
    capture_output=True,
  )
  return deb


needs_dpkg = pytest.mark.skipif(
  not shutil.which("dpkg-deb"), reason="builds packages with dpkg-deb"
)


def test_terms_are_those_of_the_last_stanza_about_a_named_file():
  terms = dep5.terms(COPYRIGHT)
  tabla = dep5.Terms(
    licence="CC-BY-3.0",
    holder="2011 Bo <bo@example.org> 2012 Cy",
    source="https://example.org/tabla",
  )
  assert terms["tabla_one.wav"] == terms["tabla_two.wav"] == tabla
  assert terms["bell.wav"] == dep5.Terms(
    licence="CC0 or GPL-2+",
    holder="2013 Di",
    source="https://example.org/effects",
  )
  assert terms["drum_tom.wav"].licence == "CC-BY-SA-4.0"
  assert terms["siren.wav"].holder == ""
  assert set(terms) == {
    f"{name}.wav" for name in NAMES if name not in ("wind", "birds")
  }


@pytest.mark.parametrize(
  ("pattern", "path", "covers"),
  [
    ("*", "a/b.wav", True),
    ("a/*", "a/b/c.wav", True),
    ("a*.wav", "a/b/c.wav", True),
    ("a/?.wav", "a/b.wav", True),
    ("a/?.wav", "a/bc.wav", False),
    ("*.ogg", "a/b.wav", False),
    ("?.wav", "a/b.wav", False),
    ("a/[b].wav", "a/b.wav", False),
    (r"a/\*.wav", "a/b.wav", False),
    ("a/b.wa", "a/b.wav", False),
  ],
)
def test_patterns_match_as_the_format_says(pattern, path, covers):
  """A later pattern takes over the licence of just the paths it matches."""
  text = (
    f"Format: copyright-format/1.0\n\nFiles: {path}\nLicense: first\n\n"
    f"Files: {pattern}\nLicense: second\n"
  )
  told = dep5.terms(text)[path.rpartition("/")[2]]
  assert told.licence == ("second" if covers else "first")


@pytest.mark.parametrize(
  ("licence", "expected"),
  [
    ("CC0", "CC0-1.0"),
    ("CC0-1.0", "CC0-1.0"),
    ("cc-by-4.0", "CC-BY-4.0"),
    ("GPL-2+ or CC-BY-3.0", "CC-BY-3.0"),
    ("CC-BY-SA-3.0", None),
    ("CC-BY-NC-4.0", None),
    ("CC-BY-2.5", None),
    ("CC-BY-3.0-us", None),
    ("CC0 and GPL-2+", None),
    ("CC0 or MIT, and GPL-2+", None),
    ("CC0 with nothing exception", None),
    ("public-domain", None),
    ("", None),
  ],
)
def test_only_licences_that_are_allowed_get_an_id(licence, expected):
  assert effects.spdx(licence) == expected
  assert expected is None or expected in recordings.LICENCES


@pytest.mark.parametrize(
  ("name", "expected"),
  [
    ("tabla_ghe1.flac", ("stick", "drum skin")),
    ("loop_tabla.flac", None),
    ("drum_tom_hi_soft.flac", ("stick", "drum skin")),
    ("drum_roll.flac", None),
    ("drum_cowbell.flac", None),
    ("perc_bell2.flac", ("bell", None)),
    ("elec_bell.flac", None),
    ("default_gravel_footstep.1.ogg", ("footsteps", "gravel")),
    ("train.ogg", None),
    ("Rain-heavy.OGG", ("rain", None)),
  ],
)
def test_names_say_what_is_heard(name, expected):
  assert effects.thing_of(name) == expected


def test_the_table_of_names_is_of_things_in_the_yard():
  for _, what in effects.NAMES:
    if what is not None:
      thing, material = what
      assert material is None or material in things.THINGS[thing].materials


@needs_dpkg
def test_a_package_becomes_a_folder_that_the_yard_reads(tmp_path, capsys):
  deb, out = build(tmp_path), tmp_path / "out"
  assert effects.main(["--deb", str(deb), "--out", str(out)]) == 0
  assert sorted(path.name for path in out.iterdir()) == [
    "bell.wav",
    "recordings.json",
    "tabla_one.wav",
    "tabla_two.wav",
  ]
  told = [
    (r.file, r.thing, r.material, r.licence, r.attribution, r.source)
    for r in recordings.load(out).recordings
  ]
  cy = "2011 Bo <bo@example.org> 2012 Cy"
  tabla = ("stick", "drum skin", "CC-BY-3.0", cy, "https://example.org/tabla")
  home = "https://example.org/effects"
  assert told == [
    ("bell.wav", "bell", None, "CC0-1.0", "2013 Di", home),
    ("tabla_one.wav", *tabla),
    ("tabla_two.wav", *tabla),
  ]
  said = capsys.readouterr().out
  assert "9 audio files, 7 with a licence of their own, 5 of them allowed" in (
    said
  )
  assert "stick of drum skin: train " in said

  assert effects.main(["--deb", str(deb), "--out", str(out)]) == 2
  assert "recordings.json: exists" in capsys.readouterr().err


@needs_dpkg
@pytest.mark.parametrize(
  ("options", "said"),
  [
    ({"text": None}, "holds 0 copyright files"),
    ({"text": "All of it is CC0.\n"}, "is not machine-readable"),
    ({"text": COPYRIGHT.replace("copyright-format", "x")}, "is not machine-"),
    (
      {"text": COPYRIGHT.partition("Files: sounds")[0]},
      "no licence of a single file for any of its 9 audio files",
    ),
    (
      {"names": ["rain", "elec_bell"]},
      "nothing to take: 2 audio files, 2 with",
    ),
  ],
)
def test_a_package_without_what_is_needed_is_refused(
  tmp_path, capsys, options, said
):
  deb, out = build(tmp_path, **options), tmp_path / "out"
  assert effects.main(["--deb", str(deb), "--out", str(out)]) == 2
  told = capsys.readouterr().err
  assert told.startswith(f"error: {deb}: ")
  assert said in told
  assert not out.exists()


@needs_dpkg
def test_what_is_no_package_is_refused(tmp_path, capsys):
  deb = tmp_path / "a.deb"
  call = ["--deb", str(deb), "--out", str(tmp_path / "out")]
  assert effects.main(call) == 2
  assert "no such file" in capsys.readouterr().err
  deb.write_text("no package")
  assert effects.main(call) == 2
  told = capsys.readouterr().err
  assert f"error: {deb}: is not a Debian package: " in told
  assert told.count("\n") == 1


def test_two_installed_files_of_one_name_are_not_told_apart():
  terms = {"bell.wav": dep5.Terms(licence="CC0", holder="Di", source="x")}
  one = pathlib.Path("a/bell.wav")
  assert effects.entries([one], terms)
  assert not effects.entries([one, pathlib.Path("b/bell.wav")], terms)
