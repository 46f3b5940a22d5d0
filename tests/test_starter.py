"""The checkpoint that is shipped: small, loadable, and it makes sound."""

import numpy as np

from vta.inference import generator, scoring
from vta.signals import cues, events


def test_it_is_small_and_has_a_card():
  sizes = {
    file.stem: file.stat().st_size
    for file in generator.STARTER.glob("*.safetensors")
  }
  assert sizes["codec"] + sizes["denoiser"] < 30e6
  assert sum(sizes.values()) < 34e6
  card = (generator.STARTER / "README.md").read_text()
  assert "python -m vta evaluate --suite yard" in card


def test_it_scores_a_clip_from_a_prompt_and_events():
  made = generator.Generator()
  soundtrack = scoring.score(
    made,
    duration=1.5,
    frames=None,
    tracks=[
      cues.Track(
        text="a metal ball bounces",
        events=events.Events(intervals=np.array([[0.2, 0.6], [0.9, 1.2]])),
      )
    ],
    settings=made.settings,
    seed=0,
  )
  assert soundtrack.wave.shape == (66_150, 2)
  assert np.isfinite(soundtrack.wave).all()
  assert 1e-3 < np.abs(soundtrack.wave).max() <= 10 ** (-1 / 20)


def test_it_knows_the_words_of_its_captions():
  made = generator.Generator().reader
  assert not made.unknown_words("a metal ball bounces on wood")
  (unknown,) = made.unknown_words("xqzt")
  assert unknown.word == "xqzt"
