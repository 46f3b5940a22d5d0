"""The cue sheet: exact round trips, and errors that name the field."""

import copy
import json
import math
import pathlib

import numpy as np
import pytest

from vta.errors import InputError
from vta.signals import cues, document, events, loudness, masks, objects

TIMES = np.array([0.1, 1 / 3, 7.25])


def full_track(folder):
  rng = np.random.default_rng(0)
  corners = np.sort(rng.random((3, 2, 2)), axis=1).reshape(3, 4)
  return cues.Track(
    text='a dog – "woof" \\ 犬',
    negative_text="speech, music",
    reference=folder / "sounds" / "dog.wav",
    events=events.Events(intervals=np.array([[0.1, 0.3], [0.3, 1 / 3]])),
    loudness=loudness.Loudness(times=TIMES, lufs=rng.uniform(-70, 0, (3, 2))),
    masks=masks.Masks(
      regions=(
        masks.Box(times=TIMES, corners=corners, label="dog", span=(1.0, 2.0)),
        masks.Polygon(times=TIMES, points=rng.random((3, 4, 2))),
        masks.Raster(times=TIMES, frames=rng.random((3, 40, 30)) > 0.5),
      )
    ),
    objects=objects.Objects(
      labels=("dog", "cat"), times=TIMES, probability=rng.random((3, 2))
    ),
    on_screen=False,
    gain_db=-3.1,
    pan=1 / 7,
    seed=2**32 - 1,
    sources={"text": "user", "loudness": "drawn – by hand", "pan": "犬"},
  )


def full_sheet(folder):
  silent = cues.Track(
    events=events.Events(intervals=np.zeros((0, 2))),
    masks=masks.Masks(regions=()),
  )
  return cues.CueSheet(
    duration=7.5, tracks=(full_track(folder), cues.Track(), silent)
  )


def test_load_gives_back_what_was_saved(tmp_path):
  sheet, path = full_sheet(tmp_path), tmp_path / "cues.json"
  cues.save(path, sheet)
  assert cues.load(path) == sheet
  # Canonical: saving what was loaded changes no byte.
  first = path.read_bytes()
  cues.save(path, cues.load(path))
  assert path.read_bytes() == first
  assert [entry.name for entry in tmp_path.iterdir()] == ["cues.json"]


def test_every_field_counts_in_equality(tmp_path):
  sheet = full_sheet(tmp_path)
  value = cues.to_json(sheet)
  for name in value["tracks"][0]:
    other = copy.deepcopy(value)
    del other["tracks"][0][name]
    assert cues.parse(other, where="x") != sheet
    # null is the same as left out, and never the same as empty.
    other["tracks"][0][name] = None
    track = cues.parse(other, where="x").tracks[0]
    assert getattr(track, name) is None
  assert cues.parse(value, where="x") == sheet
  assert sheet.tracks[2] != cues.Track()


def test_references_follow_the_cue_sheet(tmp_path, monkeypatch):
  (tmp_path / "a").mkdir()
  cues.save(tmp_path / "a" / "cues.json", full_sheet(tmp_path / "a"))
  (tmp_path / "a").rename(tmp_path / "b")
  track = cues.load(tmp_path / "b" / "cues.json").tracks[0]
  assert track.reference == tmp_path / "b" / "sounds" / "dog.wav"
  monkeypatch.chdir(tmp_path / "b")
  assert cues.load("cues.json").tracks[0] == track
  # One from elsewhere is written in full.
  cues.save(tmp_path / "cues.json", full_sheet(pathlib.Path("/elsewhere")))
  track = cues.load(tmp_path / "cues.json").tracks[0]
  assert track.reference == pathlib.Path("/elsewhere/sounds/dog.wav")


def test_the_docstring_is_a_cue_sheet():
  text = cues.__doc__
  example = text[text.index("    {") : text.rindex("    }") + 5]
  sheet = cues.parse(json.loads(example), where="example", folder=None)
  track = sheet.tracks[0]
  assert all(value is not None for value in vars(track).values())
  assert track.reference == pathlib.Path("bounce.wav")


def test_layout_is_for_people():
  value = {
    "tracks": [{"events": [[0.5, 0.75], [1.0, 2.0]], "masks": [{"a": 1}]}],
    "times": [float(i) / 3 for i in range(9)],
    "lufs": [[-23.125, -24.5]] * 6,
    "empty": [[], {}],
  }
  want = """{
  "tracks": [
    {
      "events": [[0.5, 0.75], [1.0, 2.0]],
      "masks": [
        {
          "a": 1
        }
      ]
    }
  ],
  "times": [
    0.0, 0.3333333333333333, 0.6666666666666666, 1.0, 1.3333333333333333,
    1.6666666666666667, 2.0, 2.3333333333333335, 2.6666666666666665
  ],
  "lufs": [
    [-23.125, -24.5],
    [-23.125, -24.5],
    [-23.125, -24.5],
    [-23.125, -24.5],
    [-23.125, -24.5],
    [-23.125, -24.5]
  ],
  "empty": [
    [],
    {}
  ]
}
"""
  assert document.encode(value) == want
  assert json.loads(want) == value


def test_layout_reads_back_whatever_it_holds(tmp_path):
  value = cues.to_json(full_sheet(tmp_path))
  text = document.encode(value)
  assert json.loads(text) == value
  assert max(len(line) for line in text.splitlines()) <= 80 + len(str(tmp_path))


def set_at(value, path, new):
  """`value` with what lies at `path` replaced."""
  value = copy.deepcopy(value)
  inner = value
  for key in path[:-1]:
    inner = inner[key]
  inner[path[-1]] = new
  return value


BOX = {"box": {"times": [0, 1], "corners": [[0, 0, 1, 1], [0, 0, 1, 1]]}}
POLYGON = {"polygon": {"times": [0], "points": [[[0, 0], [1, 0], [1, 1]]]}}
RASTER = {"raster": {"times": [0], "size": [2, 2], "runs": [[1, 3]]}}
OBJECTS = {"labels": ["a", "b"], "times": [0], "probability": [[0, 1]]}
LUFS = {"times": [0, 1], "lufs": [[-20, -20], [-30, -30]]}


def base():
  return {
    "version": 1,
    "duration": 10,
    "tracks": [
      {
        "events": [[1, 2], [3.5, 3.9], [4, 5]],
        "loudness": copy.deepcopy(LUFS),
        "masks": copy.deepcopy([BOX, POLYGON, RASTER]),
        "objects": copy.deepcopy(OBJECTS),
        "sources": {"events": "a", "pan": "b"},
      }
    ],
  }


# Where the fault is put, what is put there, what must be said, and about what
# if that is not the very place.
T = ("tracks", 0)
FAULTS = [
  (("version",), 2, "must be 1", None),
  (("version",), True, "must be 1", None),
  (("version",), 1.0, "must be 1", None),
  (("version",), "1", "must be 1", None),
  (("duration",), 0, "between 1 and 60 s, not 0", None),
  (("duration",), -3.0, "between 1 and 60 s, not -3.0", None),
  (("duration",), 60.5, "between 1 and 60 s", None),
  (("duration",), 10**400, "between 1 and 60 s, not 1000", None),
  (("duration",), math.nan, "finite number, not nan", None),
  (("duration",), True, "must be a number, not true", None),
  (("duration",), None, "must be a number, not null", None),
  (("tracks",), [], "is empty", None),
  (("tracks",), {}, "must be a list, not an object", None),
  (("tempo",), 1, "unknown field 'tempo'", ""),
  (T, [], "must be an object, not a list", None),
  (T, None, "must be an object, not null", None),
  ((*T, "loudnes"), LUFS, "unknown field 'loudnes'; known", "tracks[0]"),
  ((*T, "text"), 3, "must be text, not a number", None),
  ((*T, "text"), "  ", "is empty", None),
  ((*T, "text"), "\ud800", "not text", None),
  ((*T, "negative_text"), ["a"], "must be text, not a list", None),
  ((*T, "reference"), "", "is empty", None),
  ((*T, "reference"), "a\0b", "not text", None),
  ((*T, "on_screen"), 1, "must be true or false, not a number", None),
  ((*T, "gain_db"), math.inf, "finite number, not inf", None),
  ((*T, "gain_db"), 61, "between -60 and 60", None),
  ((*T, "gain_db"), "3", "must be a number, not text", None),
  ((*T, "pan"), 1.01, "between -1 and 1, not 1.01", None),
  ((*T, "pan"), False, "must be a number, not false", None),
  ((*T, "seed"), -1, "between 0 and 4294967295", None),
  ((*T, "seed"), 1.0, "must be a whole number", None),
  ((*T, "seed"), True, "must be a whole number, not true", None),
  ((*T, "events"), {}, "must be a list", None),
  ((*T, "events", 2), [4.0, 3.2], "ends before it starts (3.2 < 4.0)", None),
  ((*T, "events", 2), [4, 4], "has no length", None),
  ((*T, "events", 2), [3.8, 5], "begins before the event", None),
  ((*T, "events", 2), [0, 0.5], "begins before the event", None),
  ((*T, "events", 2), [4, 5, 6], "must have 2 entries, not 3", None),
  ((*T, "events", 2), 4, "must be a list, not a number", None),
  ((*T, "events", 2, 1), 10.5, "between 0 and 10 s, not 10.5", None),
  ((*T, "events", 0, 0), -0.5, "between 0 and 10 s, not -0.5", None),
  ((*T, "events", 0, 0), math.nan, "finite", None),
  ((*T, "loudness"), [], "must be an object", None),
  ((*T, "loudness"), {"times": [0]}, "the field 'lufs' is missing", None),
  ((*T, "loudness", "unit"), "dB", "unknown field", "tracks[0].loudness"),
  ((*T, "loudness", "times"), [], "is empty", None),
  ((*T, "loudness", "times", 1), 0, "does not come after", None),
  ((*T, "loudness", "times", 1), 11, "between 0 and 10 s", None),
  ((*T, "loudness", "lufs"), [[0, 0]], "must have 2 entries, not 1", None),
  ((*T, "loudness", "lufs", 1), [0], "must have 2 entries, not 1", None),
  ((*T, "loudness", "lufs", 1, 0), -70.1, "between -70 and 0", None),
  ((*T, "loudness", "lufs", 1, 0), 0.1, "between -70 and 0", None),
  ((*T, "loudness", "lufs", 1, 0), -math.inf, "finite", None),
  ((*T, "loudness", "lufs", 1, 0), None, "not null", None),
  ((*T, "masks", 0), {}, "one of box, polygon and raster", None),
  ((*T, "masks", 0), BOX | POLYGON, "one of box, polygon and raster", None),
  ((*T, "masks", 0, "circle"), 1, "unknown field", "tracks[0].masks[0]"),
  ((*T, "masks", 0, "label"), "", "is empty", None),
  ((*T, "masks", 0, "span"), [2, 1], "ends before it starts", None),
  ((*T, "masks", 0, "span"), [2, 11], "10 s", "tracks[0].masks[0].span[1]"),
  ((*T, "masks", 0, "box", "times", 1), 10.1, "between 0 and 10 s", None),
  ((*T, "masks", 0, "box", "corners", 1, 2), 1.1, "between 0 and 1", None),
  ((*T, "masks", 0, "box", "corners", 1, 0), -0.1, "between 0 and 1", None),
  ((*T, "masks", 0, "box", "corners", 1), [1, 0, 0, 1], "inside out", None),
  ((*T, "masks", 0, "box", "corners", 1), [0, 1, 1, 0], "inside out", None),
  ((*T, "masks", 1, "polygon", "points", 0, 1, 1), 2, "between 0 and 1", None),
  ((*T, "masks", 1, "polygon", "points", 0), [[0, 0]], "3 corners", None),
  ((*T, "masks", 1, "polygon", "points"), [], "must have 1 entries", None),
  ((*T, "masks", 1, "polygon", "points"), 3, "must be a list", None),
  ((*T, "masks", 2, "raster", "size"), [2], "[height, width]", None),
  ((*T, "masks", 2, "raster", "size", 0), 0, "between 1 and 4096", None),
  ((*T, "masks", 2, "raster", "size", 0), 2.0, "whole number", None),
  ((*T, "masks", 2, "raster", "runs"), [], "must have 1 entries", None),
  ((*T, "masks", 2, "raster", "runs", 0), [1, 2], "add up to 3", None),
  ((*T, "masks", 2, "raster", "runs", 0, 0), -1, "between 0 and 4", None),
  ((*T, "objects", "labels"), [], "is empty", None),
  ((*T, "objects", "labels", 1), "a", "'a' is given twice", None),
  ((*T, "objects", "labels", 1), 1, "must be text", None),
  ((*T, "objects", "probability", 0, 1), 1.5, "between 0 and 1", None),
  ((*T, "objects", "probability", 0, 1), -0.1, "between 0 and 1", None),
  ((*T, "objects", "probability", 0, 1), True, "not true", None),
  ((*T, "objects", "times", 0), 10.01, "between 0 and 10 s", None),
  ((*T, "sources"), ["a"], "must be an object, not a list", None),
  ((*T, "sources", "evnts"), "a", "unknown field 'evnts'", "tracks[0].sources"),
  ((*T, "sources", "sources"), "a", "unknown field", "tracks[0].sources"),
  ((*T, "sources", "events"), "", "is empty", None),
  ((*T, "sources", "events"), None, "must be text, not null", None),
  ((*T, "sources", "pan"), 1, "must be text, not a number", None),
]


def spelled(path):
  text = "".join(f"[{k}]" if isinstance(k, int) else f".{k}" for k in path)
  return text.removeprefix(".")


@pytest.mark.parametrize(
  ("path", "new", "said", "about"), FAULTS, ids=lambda part: str(part)[:40]
)
def test_faults_are_named(path, new, said, about):
  cues.parse(base(), where="cues.json")
  with pytest.raises(InputError) as caught:
    cues.parse(set_at(base(), path, new), where="cues.json")
  field = spelled(path) if about is None else about
  assert caught.value.where == (f"cues.json: {field}" if field else "cues.json")
  assert said in caught.value.message


@pytest.mark.parametrize("field", ["version", "duration", "tracks"])
def test_missing_fields_are_named(field):
  value = base()
  del value[field]
  with pytest.raises(InputError, match=f"x: the field '{field}' is missing"):
    cues.parse(value, where="x")


FILES = [
  (b"", "line 1: not JSON"),
  (b"{", "line 1: not JSON"),
  (b'{"version": 1,\n"duration" 3}', "line 2: not JSON"),
  (b"[]", "must be an object, not a list"),
  (b"\xff{}", "not UTF-8 (byte 0)"),
  ("{}".encode("utf-16"), "not UTF-8"),
  (b"[" * 100_000, "not JSON"),
  (b'{"version": ' + b"1" * 5_000 + b"}", "not JSON"),
  (b'{"version": 1, "version": 1}', "the field 'version' is given twice"),
  (
    b'{"version": 1, "duration": 5, "tracks": [{"pan": 0, "pan": 1}]}',
    "tracks[0]: the field 'pan' is given twice",
  ),
  (
    b'{"version": 1, "duration": 5, "tracks": [{"pan": NaN}]}',
    "tracks[0].pan: must be a finite number, not nan",
  ),
  (
    b'{"version": 1, "duration": Infinity, "tracks": [{}]}',
    "duration: must be a finite number, not inf",
  ),
  (
    b'{"version": 1, "duration": 1e999, "tracks": [{}]}',
    "duration: must be a finite number, not inf",
  ),
]


@pytest.mark.parametrize(
  ("data", "said"), FILES, ids=[said for _, said in FILES]
)
def test_files_that_are_no_cue_sheet(tmp_path, data, said):
  path = tmp_path / "cues.json"
  path.write_bytes(data)
  with pytest.raises(InputError) as caught:
    cues.load(path)
  assert str(caught.value).startswith(f"{path}: ")
  assert said in str(caught.value)
  assert "\n" not in str(caught.value)


def test_files_that_cannot_be_read(tmp_path):
  for path in (tmp_path / "none.json", tmp_path, tmp_path / "a\0b"):
    with pytest.raises(InputError, match="cannot read"):
      cues.load(path)


def test_a_byte_order_mark_is_no_fault(tmp_path):
  path = tmp_path / "cues.json"
  path.write_bytes(b"\xef\xbb\xbf" + json.dumps(base()).encode())
  assert cues.load(path) == cues.parse(base(), where="x")


def test_save_refuses_what_load_would(tmp_path):
  path = tmp_path / "cues.json"
  path.write_text("as it was")
  late = events.Events(intervals=np.array([[1.0, 9.0]]))
  for sheet, said in (
    (cues.CueSheet(duration=5.0, tracks=()), "tracks: is empty"),
    (
      cues.CueSheet(duration=5.0, tracks=(cues.Track(events=late),)),
      r"tracks\[0\]\.events\[0\]\[1\]: must lie between 0 and 5 s",
    ),
    (
      cues.CueSheet(duration=5.0, tracks=(cues.Track(pan=math.nan),)),
      r"tracks\[0\]\.pan: must be a finite number",
    ),
  ):
    with pytest.raises(InputError, match=said):
      cues.save(path, sheet)
  assert path.read_text() == "as it was"
  with pytest.raises(InputError, match="cannot write"):
    cues.save(tmp_path / "none" / "cues.json", full_sheet(tmp_path))


def places(value, path=()):
  """Paths of everything inside `value`."""
  inner = value.items() if isinstance(value, dict) else enumerate(value)
  for key, part in inner:
    yield (*path, key)
    if isinstance(part, (dict, list)):
      yield from places(part, (*path, key))


def test_nothing_but_an_input_error_comes_of_any_value_anywhere():
  wrong = [None, True, -1, 0.5, 1e300, math.nan, 10**400, "x", [], [[]], {}]
  refused = 0
  for path in places(base()):
    for new in wrong:
      try:
        sheet = cues.parse(set_at(base(), path, new), where="x")
      except InputError:
        refused += 1
      else:
        # What is accepted can be written and is read as the same.
        assert cues.parse(cues.to_json(sheet), where="x") == sheet
  assert refused > 500


def test_nothing_but_an_input_error_comes_of_broken_files(tmp_path):
  rng, refused = np.random.default_rng(0), 0
  path = tmp_path / "cues.json"
  whole = document.encode(base()).encode()
  for i in range(300):
    data = bytearray(whole)
    data[rng.integers(len(data))] = rng.integers(32, 127)
    end = len(data) if i % 2 else rng.integers(len(data))
    path.write_bytes(data[:end])
    try:
      cues.load(path)
    except InputError:
      refused += 1
  assert 150 < refused < 300


def test_edits_apply_to_every_signal(tmp_path):
  sheet = full_sheet(tmp_path)
  track = sheet.tracks[0]
  part = cues.crop(sheet, 0.2, 5.2)
  assert part.duration == 5.0
  slow = cues.stretch(sheet, 2)
  assert slow.duration == 15.0
  later = cues.shift(track, 1, duration=7.5)
  for name in ("events", "loudness", "masks", "objects"):
    signal = getattr(track, name)
    assert getattr(part.tracks[0], name) == signal.crop(0.2, 5.2)
    assert getattr(slow.tracks[0], name) == signal.stretch(2)
    assert getattr(later, name) == signal.shift(1, duration=7.5)
  for edited in (part.tracks[0], slow.tracks[0], later):
    assert edited.sources == track.sources
  assert part.tracks[1] == slow.tracks[1] == cues.Track()
  # Whatever the edit, the result is a cue sheet that can be saved.
  rng = np.random.default_rng(1)
  for _ in range(8):
    start, end = rng.uniform(0, 2), rng.uniform(4, 7.5)
    edited = cues.stretch(cues.crop(sheet, start, end), rng.uniform(0.6, 3))
    moved = tuple(
      cues.shift(one, rng.uniform(-3, 3), duration=edited.duration)
      for one in edited.tracks
    )
    edited = cues.CueSheet(duration=edited.duration, tracks=moved)
    cues.save(tmp_path / "edited.json", edited)
    assert cues.load(tmp_path / "edited.json") == edited


def test_rounded_is_for_reading(tmp_path):
  sheet = full_sheet(tmp_path)
  got = cues.rounded(sheet)
  assert got.tracks[0].reference == sheet.tracks[0].reference
  assert got.tracks[0].text == sheet.tracks[0].text
  assert got.tracks[0].sources == sheet.tracks[0].sources
  np.testing.assert_array_equal(
    got.tracks[0].loudness.times, [0.1, 0.333, 7.25]
  )
  np.testing.assert_allclose(
    got.tracks[0].loudness.lufs, sheet.tracks[0].loudness.lufs, atol=5e-4
  )
  assert cues.rounded(got) == got
