"""Generation end to end on random weights: lengths, seeds, batches, files."""

import copy
import dataclasses
import json

import numpy as np
import pytest
import tiny_release
from scipy.io import wavfile

from vta import cli
from vta.conditioning import inputs
from vta.inference import foley, windows
from vta.inference import generator as generator_lib
from vta.inference import job as job_lib
from vta.media import read, write
from vta.signals import cues, events, loudness, masks, objects

RATE = 44_100


@pytest.fixture(scope="module")
def generator():
  return generator_lib.Generator(tiny_release.folder())


@pytest.fixture(scope="module")
def frames(generator):
  rng = np.random.default_rng(0)
  times = generator.reader.frame_times(3.0)
  report = read.FrameReport(
    duration=3.0, fps=15.0, decoded=45, duplicated=0, missing=0
  )
  images = rng.integers(0, 255, (len(times), 16, 16, 3), np.uint8)
  return read.Frames(times=times, images=images, report=report)


def everything():
  """A track that asks for all there is."""
  times = np.array([0.0, 3.0])
  box = masks.Box(times=np.zeros(1), corners=np.array([[0.0, 0.0, 0.5, 1.0]]))
  return cues.Track(
    text="a wooden ball",
    negative_text="rain",
    events=events.Events(intervals=np.array([[0.5, 0.8]])),
    loudness=loudness.Loudness(
      times=times, lufs=np.array([[-20.0, -30.0], [-40.0, -30.0]])
    ),
    masks=masks.Masks(regions=(box,)),
    objects=objects.Objects(
      labels=("ball",), times=times, probability=np.array([[1.0], [0.2]])
    ),
  )


def job(frames, track=None, *, seed=0, duration=3.0):
  return job_lib.Job(
    duration=duration, frames=frames, track=track or cues.Track(), seed=seed
  )


def generate(generator, *jobs, **changes):
  settings = generator_lib.Settings(
    **{
      "steps": 3,
      "solver": "dpm",
      "guidance": (2.0,),
      **changes,
    }
  )
  return generator.generate(list(jobs), settings)


@pytest.mark.parametrize("duration", [1.0, 2.345, 7.0])
def test_the_length_is_exact(generator, duration):
  (wave,) = generate(generator, job(None, duration=duration))
  assert wave.shape == (round(duration * RATE), 2)
  assert np.isfinite(wave).all()
  assert np.ptp(wave) > 0


def test_a_clip_alone_or_among_others_is_the_same(generator, frames):
  jobs = [
    job(frames, everything(), seed=1),
    job(None, seed=2),
    job(frames, seed=3),
  ]
  together = generate(generator, *jobs, solver="dpm-sde")
  for one, wave in zip(jobs, together, strict=True):
    (alone,) = generate(generator, one, solver="dpm-sde")
    np.testing.assert_allclose(alone, wave, atol=1e-4 * np.abs(wave).max())


def test_a_drawn_curve_is_obeyed_even_by_random_weights(generator, frames):
  track = everything()
  wave, free = generate(generator, job(frames, track), job(frames))
  obtained = loudness.momentary(wave)
  wanted = track.loudness.resample(obtained.times).lufs
  assert np.abs(obtained.lufs - wanted).mean() < 1.0
  assert np.abs(loudness.momentary(free).lufs - wanted).mean() > 3.0


def test_obedience_can_be_left_off(generator, frames):
  """Then the curve is a condition like others, of no say for random weights."""
  curve = everything().loudness
  (made,) = generate(
    generator, job(frames, cues.Track(loudness=curve)), obey=False
  )
  heard = loudness.momentary(made)
  wanted = curve.resample(heard.times).lufs
  assert np.abs(heard.lufs - wanted).mean() > 3.0


def test_groups_are_guided_by_in_order_or_each_alone(
  generator, frames, monkeypatch
):
  groups = (("frames",), ("text", "reference", "objects"))
  monkeypatch.setattr(generator, "groups", groups)

  def apart(*scales):
    one, two = (
      generate(
        generator,
        job(frames, everything()),
        guidance=scales,
        independent=independent,
      )[0]
      for independent in (False, True)
    )
    return np.abs(one - two).max() / np.abs(one).max()

  # e_0 + s_1 (e_1 - e_0) in both; then the second group on top, or alone.
  assert apart(2.0, 0.0) < 1e-5
  assert apart(2.0, 3.0) > 1e-3


def test_seeds_and_solvers_differ(generator, frames):
  waves = [
    *generate(generator, job(frames, seed=1), job(frames, seed=2)),
    *generate(generator, job(frames, seed=1), solver="ddim"),
    *generate(generator, job(frames, seed=1), guidance=(1.0,)),
    *generate(generator, job(frames, seed=1), steps=4),
  ]
  for i, one in enumerate(waves):
    for two in waves[i + 1 :]:
      assert np.abs(one - two).max() > 1e-3 * np.abs(one).max()


@pytest.mark.parametrize(
  "field",
  ["text", "negative_text", "events", "loudness", "masks", "objects"],
)
def test_every_condition_changes_the_sound(generator, frames, field):
  whole = everything()
  without = cues.Track(
    **{
      name: getattr(whole, name)
      for name in (
        "text",
        "negative_text",
        "events",
        "loudness",
        "masks",
        "objects",
      )
      if name != field
    }
  )
  one, two = generate(generator, job(frames, whole), job(frames, without))
  assert np.abs(one - two).max() > 1e-4 * np.abs(one).max()


def test_a_group_that_nobody_asks_for_changes_nothing(generator, frames):
  """It is left out where a batch has none of it, and silent where it has."""
  two = copy.copy(generator)
  (names,) = generator.groups
  rest = tuple(name for name in names if name != "text")
  two.groups = (rest, ("text",))
  shown, said = job(frames), job(frames, cues.Track(text="a wooden ball"))
  denied = job(None, cues.Track(negative_text="rain"), seed=3)

  def made(*jobs, text):
    return generate(two, *jobs, guidance=(2.0, text))

  (alone,) = made(shown, text=6.0)
  among = made(shown, said, denied, text=6.0)
  tolerance = 1e-4 * np.abs(alone).max()
  np.testing.assert_allclose(alone, among[0], atol=tolerance)
  assert np.abs(among[1] - alone).max() > tolerance
  (by_itself,) = made(denied, text=6.0)
  np.testing.assert_allclose(by_itself, among[2], atol=tolerance)
  (nothing,) = made(job(None, seed=3), text=6.0)
  assert np.abs(nothing - by_itself).max() > tolerance
  asked = np.array([[name == "frames" for name in two.system.names]])
  assert two._wanted(asked, (2.0, 6.0)) == ((rest,), (2.0,))


def test_guidance_exaggerates_its_groups_and_nothing_else(generator, frames):
  whole = everything()
  drawn = cues.Track(events=whole.events, loudness=whole.loudness)
  one, two = (
    generate(generator, job(None, drawn), guidance=(scale,))[0]
    for scale in (1.0, 8.0)
  )
  np.testing.assert_allclose(one, two, atol=1e-4 * np.abs(one).max())
  said = cues.Track(text=whole.text, loudness=whole.loudness)
  one, two = (
    generate(generator, job(None, said), guidance=(scale,))[0]
    for scale in (1.0, 8.0)
  )
  assert np.abs(one - two).max() > 1e-3 * np.abs(one).max()


def test_an_off_screen_track_does_not_follow_the_picture(generator, frames):
  track = cues.Track(on_screen=False)
  one, two = generate(generator, job(frames, track), job(None, track))
  np.testing.assert_allclose(one, two, atol=1e-5 * np.abs(one).max())


def test_what_is_muted_is_led_away_from(generator, frames, monkeypatch):
  times = np.array([0.0, 3.0])

  def listed(*probability):
    return cues.Track(
      objects=objects.Objects(
        labels=("ball", "rain"), times=times, probability=np.array(probability)
      )
    )

  both, muted = listed([0.9, 0.5], [0.2, 0.5]), listed([0.9, 0.0], [0.2, 0.0])
  cover = windows.cover(32, size=32)
  plain, null = generator.reader.inputs(job(frames, both), cover)
  assert set(null[0]) == {"text_tokens", "text_mask", "asked"}
  assert not null[0]["asked"].any()
  _, null = generator.reader.inputs(job(frames, muted), cover)
  asked = dict(zip(inputs.NAMES, null[0]["asked"], strict=True))
  assert [name for name, there in asked.items() if there] == [
    "frames",
    "objects",
  ]
  # The null is of the muted one alone, at all times.
  only = listed([0.0, 1.0], [0.0, 1.0])
  rain, _ = generator.reader.inputs(job(frames, only), cover)
  np.testing.assert_allclose(null[0]["objects"], rain[0]["objects"], atol=1e-6)
  assert np.abs(null[0]["objects"] - plain[0]["objects"]).max() > 0.01
  # Without a picture, or off screen, there is nothing that shows it.
  for unseen in (
    job(None, muted),
    job(frames, dataclasses.replace(muted, on_screen=False)),
  ):
    _, null = generator.reader.inputs(unseen, cover)
    assert not null[0]["asked"].any()
  # Beside others in a batch it is as alone, and so are they.
  first, second = generate(generator, job(frames, muted), job(frames, both))
  (alone,) = generate(generator, job(frames, muted))
  np.testing.assert_allclose(first, alone, atol=1e-4 * np.abs(alone).max())
  (alone,) = generate(generator, job(frames, both))
  np.testing.assert_allclose(second, alone, atol=1e-4 * np.abs(alone).max())
  # And as if guidance were twice as strong.
  monkeypatch.setattr(foley, "MUTED", 1.0)
  (twice,) = generate(generator, job(frames, muted), guidance=(4.0,))
  np.testing.assert_allclose(first, twice, atol=1e-4 * np.abs(twice).max())


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
  path = tmp_path_factory.mktemp("clip") / "clip.mp4"
  rng = np.random.default_rng(0)
  write.write_video(
    path, rng.integers(0, 255, (50, 48, 64, 3), np.uint8), rate=25
  )
  return path


def run(*arguments) -> int:
  release = str(tiny_release.folder())
  return cli.main(["generate", *map(str, arguments), "--checkpoint", release])


def test_files_of_a_run(clip, tmp_path, capsys):
  reference = tmp_path / "reference.wav"
  tone = 0.3 * np.sin(np.arange(30_000) / 9.0)
  write.write_wave(reference, np.stack([tone, tone], axis=1))
  sheet = tmp_path / "cues.json"
  cues.save(
    sheet,
    cues.CueSheet(
      duration=2.0,
      tracks=(
        cues.Track(text="a wooden ball", gain_db=-3.0, pan=-0.5),
        cues.Track(reference=reference, seed=9, on_screen=False),
      ),
    ),
  )
  out = tmp_path / "scored.mp4"
  options = ["--cues", sheet, "--stems", "--steps", 2]
  assert run(clip, "--out", out, *options) == 0
  printed = capsys.readouterr().out
  assert "2.000 s at 25.000 fps" in printed
  assert "0 missing" in printed

  wave = read.read_audio(tmp_path / "scored.mp4")
  assert wave.shape == (2 * RATE, 2)
  rate, mix = wavfile.read(tmp_path / "scored.wav")
  assert rate == RATE
  assert mix.shape == (2 * RATE, 2)
  assert np.abs(mix).max() <= 10 ** (-1 / 20)
  stems = [
    wavfile.read(tmp_path / "scored.stems" / f"track-{i}.wav")[1]
    for i in (1, 2)
  ]
  np.testing.assert_allclose(sum(stems), mix, atol=1e-5)
  saved = cues.load(tmp_path / "scored.cues.json")
  assert [track.seed for track in saved.tracks] == [0, 9]
  assert (tmp_path / "scored.png").read_bytes().startswith(b"\x89PNG")

  again = tmp_path / "again" / "scored.mp4"
  again.parent.mkdir()
  assert run(clip, "--out", again, *options) == 0
  for name in ("scored.mp4", "scored.wav"):
    one, two = tmp_path / name, again.parent / name
    assert one.read_bytes() == two.read_bytes(), name


def test_words_that_are_far_from_the_captions_are_reported(
  clip, tmp_path, capsys
):
  assert run(clip, "--out", tmp_path / "a.mp4", "--text", "a sitar") == 0
  printed = capsys.readouterr().out
  assert "'sitar' is unlike every word of the training captions" in printed
  assert "'a'" not in printed


def test_a_saved_cue_sheet_makes_the_same_sound(clip, tmp_path):
  assert run(clip, "--out", tmp_path / "a.mp4", "--seed", 11) == 0
  sheet = tmp_path / "a.cues.json"
  assert json.loads(sheet.read_text())["tracks"][0]["seed"] == 11
  assert run(clip, "--out", tmp_path / "b.mp4", "--cues", sheet) == 0
  one, two = (wavfile.read(tmp_path / f"{n}.wav")[1] for n in "ab")
  np.testing.assert_array_equal(one, two)


def test_what_is_given_wins_over_the_cue_sheet(clip, tmp_path):
  sheet = tmp_path / "cues.json"
  tracks = [cues.Track(text=text, seed=9) for text in ("ball", "wood")]
  cues.save(sheet, cues.CueSheet(duration=2.0, tracks=tuple(tracks)))
  flags = ["--seed", 5, "--text", "a wooden ball", "--negative-text", "ball"]
  command = [clip, "--out", tmp_path / "a.mp4", "--cues", sheet, "--steps", 2]
  assert run(*command, *flags) == 0
  made = cues.load(tmp_path / "a.cues.json").tracks
  assert [track.seed for track in made] == [5, 6]
  assert {track.text for track in made} == {"a wooden ball"}
  assert {track.negative_text for track in made} == {"ball"}
