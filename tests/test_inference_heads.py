"""The heads' signals of a clip: the network's numbers, on the clip's time."""

import json
import shutil

import jax
import jax.numpy as jnp
import media_samples as samples
import numpy as np
import pytest
import tiny_heads

from vta import errors
from vta.conditioning import inputs
from vta.encoders import picture
from vta.inference import heads
from vta.interop import release
from vta.media import read
from vta.models import predictor
from vta.signals import events as events_lib
from vta.signals import loudness as loudness_lib
from vta.signals import timing

RATE, WINDOW = tiny_heads.RATE, tiny_heads.WINDOW
DURATION = 6.0  # s: 130 latents, six windows


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
  rng = np.random.default_rng(0)
  images = rng.integers(0, 256, (150, 6, 8, 3), np.uint8).repeat(8, 1)
  return samples.video(
    tmp_path_factory.mktemp("clip") / "a.mp4",
    images=images.repeat(8, 2),
    stamps=range(0, 6000, 40),
  )


def at_once(clip, folder, *, tower=0):
  """What the network says of the whole clip in one go."""
  net, _ = tiny_heads.network(tower=tower)
  parts = release.load(folder).parts
  params = {**parts["heads"], "frame_encoder": parts["frame_encoder"]}
  count = int(np.ceil(DURATION * RATE))
  geometry = inputs.geometry(
    count, latent_rate=RATE, frame_rate=15.0, frame_size=16, tower=tower
  )
  times = np.arange(90) / 15
  frames = read.read_frames(clip, times=times, height=16, width=16).images
  seen = {"frames": frames, "frame_times": times}
  names = ["frames", "mask", "frame_left", "frame_fraction"]
  if tower:
    seen["frame_features"] = Tower().encode(frames, None)
    names.append("frame_features")
  given = inputs.assemble(geometry, start=0.0, total=DURATION, **seen)
  return jax.jit(net.apply)(
    {"params": params}, *(jnp.asarray(given[name])[None] for name in names)
  )


def shared(times):
  """Whether a time lies next to a latent that is in two windows."""
  latent = times * RATE - 0.5
  hop = WINDOW - WINDOW // 4
  nearest = np.stack([np.floor(latent), np.ceil(latent)])
  return ((nearest >= hop) & (nearest % hop < WINDOW - hop)).any(axis=0)


class Tower:
  """In the place of a frozen one: thumbnails, of what the mask shows."""

  def encode(self, images, mask):
    assert mask is None
    small = images[:, ::4, ::4].reshape(len(images), -1) / 255.0
    return np.float32(np.tile(small, 27)[:, : picture.WIDTH])


@pytest.mark.parametrize("tower", [0, picture.WIDTH])
def test_windows_say_what_the_whole_clip_says(clip, tower, monkeypatch):
  monkeypatch.setattr(picture.PictureEncoder, "load", Tower)
  folder = tiny_heads.folder(tower=tower)
  got = heads.Heads(folder).predict(clip, DURATION)
  want = at_once(clip, folder, tower=tower)
  times = timing.centres(want.loudness.shape[1], RATE)
  curve = loudness_lib.from_unit(np.asarray(want.loudness[0], np.float64))
  # The stamps of what is measured in a wave of that length.
  wave = np.zeros((round(DURATION * 44_100), 2))
  blocks = loudness_lib.momentary(wave).times
  np.testing.assert_array_equal(got.loudness.times, blocks)
  curve = timing.interpolate(curve, times, blocks)
  # Near its edges a window does not see all that the whole clip does; where
  # two overlap they share that. Elsewhere it is the same.
  alone = ~shared(blocks)
  assert 10 < alone.sum() < len(blocks)
  np.testing.assert_allclose(got.loudness.lufs[alone], curve[alone], atol=1e-3)
  assert curve[alone].std(axis=0).min() > 0.2
  assert np.abs(got.loudness.lufs - curve).max() < 8 * curve.std()
  sounding = np.asarray(jax.nn.sigmoid(want.events)[0, :, 0], np.float64)
  fine = (np.arange(1200) + 0.5) / 200
  sounds = timing.interpolate(sounding, times, fine) > 0.35
  sounds = events_lib.from_binary(sounds, fine, duration=DURATION)
  want, heard = (events_lib.to_binary(e, fine) for e in (sounds, got.events))
  np.testing.assert_array_equal(heard[~shared(fine)], want[~shared(fine)])
  assert len(sounds.intervals) > 2


def test_both_forms_of_a_release_say_the_same(clip):
  one, other = (
    heads.Heads(folder).predict(clip, 2.0)
    for folder in (tiny_heads.folder(), tiny_heads.starter())
  )
  assert one == other


def test_events_begin_between_latents(clip, monkeypatch):
  found = heads.Heads(tiny_heads.folder())
  truth = np.array([[0.213, 0.47], [0.8, 1.121]])
  share = inputs.event_channels(
    events_lib.Events(intervals=truth),
    timing.centres(WINDOW, RATE),
    RATE,
  ).clip(1e-6, 1 - 1e-6)
  said = predictor.Signals(
    loudness=jnp.full((1, WINDOW, 2), 0.5),
    events=jnp.asarray(np.log(share / (1 - share)))[None],
    latents=jnp.zeros((1, WINDOW, 1)),
  )
  monkeypatch.setattr(found, "_apply", lambda params, *arrays: said)
  got = found.predict(clip, WINDOW / RATE)
  # A third of what lies between two latents.
  np.testing.assert_allclose(got.events.intervals, truth, atol=0.016)
  np.testing.assert_allclose(got.loudness.lufs, -35.0)


def changed(folder, change):
  path = folder / "release"
  shutil.copytree(tiny_heads.starter(), path)
  config = json.loads((path / "config.json").read_text())
  change(config)
  (path / "config.json").write_text(json.dumps(config))
  return path


@pytest.mark.parametrize(
  ("change", "said"),
  [
    (lambda c: c["parts"].remove("conditioner"), "holds no conditioner"),
    (lambda c: c["parts"].remove("heads"), "holds no heads"),
    (lambda c: c.pop("clip"), "config.json: describes no predictor"),
    (lambda c: c["conditioner"].pop("frames"), "describes no predictor"),
    (lambda c: c["clip"].update(frame_size=32), "does not fit its config"),
    (
      lambda c: c["conditioner"]["frames"].update(features=4),
      "does not fit its config",
    ),
  ],
)
def test_releases_that_do_not_fit(tmp_path, change, said):
  path = changed(tmp_path, change)
  with pytest.raises(errors.InputError) as caught:
    heads.Heads(path)
  assert str(caught.value).startswith(str(path))
  assert said in str(caught.value)
