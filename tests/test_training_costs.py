"""Operations by arithmetic against those that XLA finds in the program."""

import jax
import jax.numpy as jnp
import pytest

from vta.conditioning import conditions as conditions_lib
from vta.models import dit
from vta.training import costs

CLIPS, LATENTS = 2, 191


def given():
  """Something at every entry."""

  def stream(mode, count):
    return conditions_lib.Stream(
      tokens=jnp.ones((CLIPS, count, 192)),
      mask=jnp.ones((CLIPS, count), bool),
      scale=None if mode == "concat" else jnp.ones(CLIPS),
      mode=mode,
    )

  def sequence(width):
    return jnp.ones((CLIPS, LATENTS, width))

  return conditions_lib.Conditions(
    streams={
      "a": stream("concat", 40),
      "b": stream("decoupled", 24),
      "c": stream("layer", 16),
    },
    input={"d": sequence(64)},
    block={"e": sequence(128)},
    control={
      "f": conditions_lib.Control(hint=sequence(32), scale=jnp.ones(CLIPS))
    },
    vector=jnp.ones((CLIPS, 96)),
  )


def network(**changes):
  sizes = {
    "width": 512,
    "depth": 5,
    "heads": 8,
    "cross_heads": 4,
    "condition_width": 192,
    "control_depth": 2,
  }
  return dit.DiTConfig(**(sizes | changes))


def counted(config):
  """By XLA, of a gradient; a loop's body once."""
  net, conditions = dit.DiT(config), given()
  x, time = jnp.ones((CLIPS, LATENTS, config.latents)), jnp.ones(CLIPS)

  def init():
    return net.init(jax.random.key(0), x, time, conditions)["params"]

  def loss(params):
    made = net.apply({"params": params}, x, time, conditions)
    return jnp.sum(made**2)

  program = jax.jit(jax.grad(loss)).lower(jax.eval_shape(init))
  # Before it is compiled, which would take a minute and change next to nothing.
  return program.cost_analysis()["flops"]


@pytest.mark.parametrize(
  ("changes", "tolerance"),
  [
    ({}, 0.002),
    ({"conditioning": "adaln"}, 0.002),
    # XLA finds some of what remat asks for twice to be the same after all.
    ({"remat": "dots"}, 0.03),
    ({"remat": "full"}, 0.03),
  ],
)
def test_operations_are_those_of_the_program(changes, tolerance):
  config = network(unroll=5, **changes)
  made = costs.step(config, given(), clips=CLIPS, latents=LATENTS)
  assert counted(config) == pytest.approx(made.all, rel=tolerance)
  assert made.backward == 2 * made.forward
  assert (made.recomputed > 0) == ("remat" in changes)


def test_two_counts_of_loops_tell_all():
  """Five blocks, one left over, and two in a control branch."""
  once, twice = (counted(network(unroll=n)) for n in (1, 2))
  times = costs.left_out(network(), given(), latents=LATENTS)
  whole = costs.step(network(), given(), clips=CLIPS, latents=LATENTS).all
  assert once < 0.6 * whole
  assert once + times * (twice - once) == pytest.approx(whole, rel=0.03)


def test_l_is_as_large_as_the_paper_says():
  """6 operations a parameter and token, and attention's: Kaplan et al."""
  config = dit.DiTConfig()
  tokens = conditions_lib.Stream(
    tokens=jnp.ones((1, 8, 768)), mask=jnp.ones((1, 8), bool)
  )
  conditions = conditions_lib.Conditions(streams={"prompt": tokens})
  made = costs.step(config, conditions, clips=1, latents=1292)
  in_blocks = 24 * 18 * 1536**2  # of 1.06e9 parameters
  rough = 6 * in_blocks * 1293 + 24 * 3 * 4 * 1293**2 * 1536
  assert made.useful == pytest.approx(rough, rel=0.01)
