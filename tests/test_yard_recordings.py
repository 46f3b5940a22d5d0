"""A folder of recorded effects: what is read of it, and what is refused."""

import collections
import json

import numpy as np
import pytest
import soundfile
from effect_samples import RATE, entry, noise, save

from vta import errors
from vta.data.yard import recordings


def refusal(folder):
  """The one line that refuses a folder."""
  with pytest.raises(errors.InputError) as caught:
    recordings.load(folder)
  message = str(caught.value)
  assert message.startswith(str(folder / recordings.MANIFEST))
  assert "\n" not in message
  return message.removeprefix(str(folder / recordings.MANIFEST))


def test_a_recording_starts_at_its_attack_in_mono_with_peak_1(tmp_path):
  burst = noise(1, peak=0.25)
  rng = np.random.default_rng(0)
  # A room 50 dB below the peak, before the attack.
  room = rng.uniform(-1.0, 1.0, (3000, 2)) * 0.25 * 10 ** (-50 / 20)
  waves = {"a.wav": np.concatenate([room.astype(np.float32), burst])}
  folder = save(tmp_path / "r", entry(), waves=waves)
  (loaded,) = recordings.load(folder).recordings
  mono = burst.mean(axis=1, keepdims=True)
  assert loaded.wave.dtype == np.float32
  np.testing.assert_allclose(loaded.wave, mono / np.abs(mono).max(), atol=1e-6)
  assert (loaded.thing, loaded.material) == ("stick", None)
  assert (loaded.licence, loaded.attribution) == ("CC0-1.0", None)


def test_no_recording_is_longer_than_a_clip(tmp_path):
  long = np.full((61 * RATE, 1), 0.5, np.float32)
  folder = save(tmp_path / "r", entry(), waves={"a.wav": long})
  (loaded,) = recordings.load(folder).recordings
  assert len(loaded.wave) == 60 * RATE


@pytest.mark.parametrize(
  "licence", ["CC0-1.0", "CC-PDM-1.0", "CC-PDDC", "CC-BY-3.0", "CC-BY-4.0"]
)
def test_these_licences_are_allowed(tmp_path, licence):
  fields = entry(licence=licence, attribution="2014 Jo Doe")
  (loaded,) = recordings.load(save(tmp_path / "r", fields)).recordings
  assert (loaded.licence, loaded.attribution) == (licence, "2014 Jo Doe")


@pytest.mark.parametrize(
  ("changes", "where", "said"),
  [
    ({"licence": "CC-BY-SA-3.0"}, "licence", "'CC-BY-SA-3.0' does not let"),
    ({"licence": "CC-BY-NC-4.0"}, "licence", "'CC-BY-NC-4.0' does not let"),
    ({"licence": "GPL-2.0-or-later"}, "licence", "'GPL-2.0-or-later'"),
    ({"licence": "cc0"}, "licence", "these do: CC0-1.0"),
    ({"licence": None}, "licence", "must be text, not null"),
    ({"licence": "CC-BY-4.0"}, "attribution", "CC-BY-4.0 asks for the author"),
    (
      {"licence": "CC-BY-3.0", "attribution": " "},
      "attribution",
      "CC-BY-3.0 asks for the author",
    ),
    (
      {"licence": "CC-BY-3.0", "attribution": 5},
      "attribution",
      "must be text, not a number",
    ),
    ({"attribution": ""}, "attribution", "is empty"),
    ({"licence": ...}, "", "'licence' is missing"),
    ({"file": ...}, "", "'file' is missing"),
    ({"thing": ...}, "", "'thing' is missing"),
    ({"source": ...}, "", "'source' is missing"),
    ({"source": ["x"]}, "source", "must be text, not a list"),
    ({"license": "CC0-1.0"}, "", "unknown field 'license'"),
    ({"thing": "dog"}, "thing", "the yard has no 'dog'; it has ball"),
    ({"thing": 1}, "thing", "must be text, not a number"),
    ({"material": "snow"}, "material", "a stick is not of 'snow'"),
    (
      {"thing": "rain", "material": "wood"},
      "material",
      "known are none, leave the field out",
    ),
    ({"file": "b.wav"}, "file", "'b.wav': cannot read: No such file"),
    ({"file": "a\nb.wav"}, "file", r"'a\nb.wav': cannot read"),
    ({"file": "../a.wav"}, "file", "'../a.wav' is outside"),
    ({"file": "link.wav"}, "file", "'link.wav' is outside"),
    ({"file": "./a.wav"}, "file", "'./a.wav' is not a plain relative path"),
    ({"file": "x/../a.wav"}, "file", "is not a plain relative path"),
    ({"file": "/a.wav"}, "file", "'/a.wav' is not a plain relative path"),
    ({"file": "."}, "file", "'.': cannot read: Is a directory"),
    ({"file": "a\0.wav"}, "file", "holds a character that is not text"),
    ({"file": "loop.wav"}, "file", "'loop.wav': cannot read: Too many levels"),
    ({"file": "text.wav"}, "file", "'text.wav': not a media file"),
    (
      {"file": "nothing.wav"},
      "file",
      "'nothing.wav': cannot read: the file is",
    ),
    ({"file": "header.wav"}, "file", "'header.wav': "),
    ({"file": "quiet.wav"}, "file", "'quiet.wav' is silent"),
    ({"file": "opposed.wav"}, "file", "'opposed.wav' is silent"),
    ({"file": "copy.flac"}, "file", "'copy.flac' is the same sound as 'a.wav'"),
  ],
)
def test_what_cannot_be_used_is_refused_by_name(tmp_path, changes, where, said):
  """The second entry is wrong; the first one is not."""
  folder = save(tmp_path / "r", entry())
  wave = soundfile.read(folder / "a.wav")[0]
  outside = tmp_path / "outside.wav"
  soundfile.write(outside, wave, RATE)
  (folder / "link.wav").symlink_to(outside)
  (folder / "loop.wav").symlink_to("loop.wav")
  (folder / "text.wav").write_text("no sound " * 100)
  (folder / "nothing.wav").touch()
  soundfile.write(folder / "header.wav", np.zeros((0, 2)), RATE)
  soundfile.write(folder / "quiet.wav", np.full((900, 2), 9e-4), RATE)
  soundfile.write(folder / "opposed.wav", wave[:, :1] * [[1.0, -1.0]], RATE)
  # Whole numbers: the two containers round fractions differently.
  for name in ("a.wav", "copy.flac"):
    soundfile.write(folder / name, (wave * 32767).astype(np.int16), RATE)
  soundfile.write(folder / "other.wav", noise(7), RATE)
  value = {
    "version": 1,
    "recordings": [entry(), entry(**{"file": "other.wav", **changes})],
  }
  (folder / recordings.MANIFEST).write_text(json.dumps(value))
  path = "recordings[1]" + (f".{where}" if where else "")
  message = refusal(folder)
  assert message.startswith(f": {path}: ")
  assert said in message


@pytest.mark.parametrize(
  ("text", "said"),
  [
    (None, ": cannot read: No such file"),
    ("{", ": line 1: not JSON"),
    ("[]", ": must be an object, not a list"),
    ('{"version": 1}', ": the field 'recordings' is missing"),
    ('{"version": 2, "recordings": []}', ": version: must be 1"),
    ('{"version": true, "recordings": []}', ": version: must be 1"),
    ('{"version": 1, "recordings": {}}', ": recordings: must be a list"),
    ('{"version": 1, "recordings": []}', ": recordings: is empty"),
    ('{"version": 1, "recordings": [1]}', ": recordings[0]: must be an object"),
    ('{"version": 1, "version": 1}', ": the field 'version' is given twice"),
    (
      '{"version": 1, "recordings": [], "name": "x"}',
      ": unknown field 'name'",
    ),
  ],
)
def test_a_manifest_is_read_strictly(tmp_path, text, said):
  if text is not None:
    (tmp_path / recordings.MANIFEST).write_text(text)
  assert refusal(tmp_path).startswith(said)


def test_identity_is_of_what_is_heard_and_said_not_of_the_order(tmp_path):
  one, two = entry("a.wav"), entry("b.wav")
  waves = {"a.wav": noise(1), "b.wav": noise(2)}

  def identity(*entries, **changes):
    folder = save(tmp_path / "r", *entries, waves={**waves, **changes})
    return recordings.load(folder).identity

  base = identity(one, two)
  assert base == identity(two, one)
  others = [
    identity(one),
    identity(one, {**two, "material": "wood"}),
    identity(one, {**two, "attribution": "Jo"}),
    identity(one, two, **{"b.wav": noise(3)}),
    recordings.NONE.identity,
  ]
  assert len({base, *others}) == 6


def test_every_recording_is_of_one_split_for_good():
  # Written down: a change of the rule would move recordings between splits.
  assert recordings.split_of("tabla_ghe1.flac") == "train"
  assert recordings.split_of("tabla_ke3.flac") == "validation"
  assert recordings.split_of("tabla_ke1.flac") == "test"
  counts = collections.Counter(
    recordings.split_of(f"{n}.wav") for n in range(4000)
  )
  shares = {split: count / 4000 for split, count in counts.items()}
  # Four standard deviations of a share of 0.8 are 0.025, of 0.1, 0.019.
  assert shares == {
    "train": pytest.approx(0.8, abs=0.025),
    "validation": pytest.approx(0.1, abs=0.019),
    "test": pytest.approx(0.1, abs=0.019),
  }
