"""The denoiser against diffusers' Stable Audio model, and its entries."""

import dataclasses
import functools

import diffusers
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from benchmarks import stable_audio as stable_audio_lib
from vta.conditioning.conditions import Conditions, Control, Stream
from vta.interop import stable_audio, tables, trees
from vta.models import attention, dit

SMALL = dit.DiTConfig(
  latents=8,
  width=64,
  depth=3,
  heads=4,
  cross_heads=2,
  condition_width=24,
  time_features=16,
)
BATCH, LENGTH, TOKENS = 3, 13, 5


def normal(seed, *shape):
  # From NumPy: jax.random compiles anew for every shape.
  draw = np.random.default_rng(seed).standard_normal(shape)
  return jnp.asarray(draw, jnp.float32)


def stream(seed, tokens=TOKENS, **settings):
  mask = jnp.ones((BATCH, tokens), bool)
  return Stream(tokens=normal(seed, BATCH, tokens, 24), mask=mask, **settings)


def text_only(seed=1):
  return Conditions(
    streams={"text": stream(seed)}, vector=normal(seed + 1, BATCH, 20)
  )


def inputs(seed=0):
  x = normal(seed, BATCH, LENGTH, SMALL.latents)
  return x, jnp.linspace(0.05, 0.95, BATCH)


def parameters(config, conditions, *, seed=None):
  """Parameters at their initial values or, with a seed, at random ones."""
  init = dit.DiT(config).init
  # "rbg" compiles in a fraction of the default generator's time.
  key = jax.random.key(0, impl="rbg")
  if seed is None:
    return jax.jit(init)(key, *inputs(), conditions)
  shapes = jax.eval_shape(init, key, *inputs(), conditions)
  leaves, tree = jax.tree.flatten(shapes)
  values = [0.25 * normal([seed, i], *x.shape) for i, x in enumerate(leaves)]
  return jax.tree.unflatten(tree, values)


@functools.cache
def applied(config):
  return jax.jit(dit.DiT(config).apply)


def reading(arrays):
  """What `to_theirs` reads through, over arrays at hand."""
  return lambda path, i: arrays[path] if i is None else arrays[path][i]


def to_torch(params):
  """Our parameters under the names, and in the layout, of diffusers."""
  rows = list(stable_audio.denoiser(SMALL.depth, "diffusers"))
  named = tables.to_theirs(rows, reading(trees.flatten(jax.device_get(params))))
  return {name: torch.tensor(tensor) for name, tensor in named}


def reference(state, x, time, tokens, vector):
  model = diffusers.StableAudioDiTModel(
    in_channels=8,
    out_channels=8,
    num_layers=3,
    attention_head_dim=16,
    num_attention_heads=4,
    num_key_value_attention_heads=2,
    cross_attention_dim=24,
    cross_attention_input_dim=24,
    time_proj_dim=16,
    global_states_input_dim=20,
  )
  model.load_state_dict(state, strict=True)
  named = {"x": x, "time": time, "tokens": tokens, "vector": vector}
  given = {name: torch.tensor(np.asarray(a)) for name, a in named.items()}
  with torch.no_grad():
    positions = stable_audio_lib.rotary(model, x.shape[1])
    return stable_audio_lib.velocity(model, positions, **given)


def relative(got, want):
  return np.abs(got - want).max() / np.abs(want).max()


def test_equals_diffusers():
  conditions = text_only()
  variables = parameters(SMALL, conditions, seed=3)
  got = applied(SMALL)(variables, *inputs(), conditions)
  want = reference(
    to_torch(variables["params"]),
    *inputs(),
    conditions.streams["text"].tokens,
    conditions.vector,
  )
  assert relative(got, want) < 1e-5


def test_default_is_stable_audio_open_and_tri_ergon_l():
  """As many parameters as the class that public weights load into."""
  conditions = Conditions(
    streams={
      "text": Stream(tokens=jnp.zeros((1, 4, 768)), mask=jnp.ones((1, 4), bool))
    },
    vector=jnp.zeros((1, 1536)),
  )
  shapes = jax.eval_shape(
    dit.DiT(dit.DiTConfig()).init,
    jax.random.key(0),
    jnp.zeros((1, 8, 64)),
    jnp.zeros(1),
    conditions,
  )
  with torch.device("meta"):
    model = diffusers.StableAudioDiTModel()
  want = sum(p.numel() for p in model.parameters())
  assert sum(x.size for x in jax.tree.leaves(shapes)) == want


def formulas(params, x, time, conditions, config):
  """The denoiser from papers.md 3.6 and 7.1 and, with adaLN, from
  stable-audio-tools' transformer, in torch; nothing is masked."""
  to = lambda a: torch.tensor(np.asarray(a, np.float64))  # noqa: E731
  p, x, time = jax.tree.map(to, params), to(x), to(time)
  silu, size = torch.nn.functional.silu, config.width // config.heads
  streams = sorted(conditions.streams.items())
  decoupled, own = (
    [(n, s) for n, s in streams if s.mode == mode]
    for mode in ("decoupled", "layer")
  )

  def mlp(name, y):
    y = silu(y @ p[f"{name}_0"]["kernel"] + p[f"{name}_0"].get("bias", 0))
    return y @ p[f"{name}_2"]["kernel"] + p[f"{name}_2"].get("bias", 0)

  def heads(w, kind, source, stream=""):
    y = (source @ w[f"to_{kind}{stream}"]["kernel"]).unflatten(-1, (-1, size))
    y, norm = y.transpose(1, 2), w.get(f"norm_{kind}{stream}")
    if norm is None:
      return y
    y = y * torch.rsqrt((y**2).mean(-1, keepdim=True) + 1e-6)
    return y * norm["scale"]

  def turned(y, angles):
    if angles is None:
      return y
    r = angles.shape[-1]
    z = torch.complex(y[..., :r], y[..., r : 2 * r])
    z = z * torch.polar(torch.ones_like(angles), angles)
    return torch.cat([z.real, z.imag, y[..., 2 * r :]], -1)

  def attend(q, k, v):
    k, v = (
      u.repeat_interleave(q.shape[1] // u.shape[1], dim=1) for u in (k, v)
    )
    return torch.nn.functional.scaled_dot_product_attention(q, k, v)

  def attention(w, y, source, angles=None, others=()):
    q, k = (
      turned(heads(w, n, s), angles) for n, s in (("q", y), ("k", source))
    )
    out = attend(q, k, heads(w, "v", source))
    for name, stream in others:
      k, v = (heads(w, n, to(stream.tokens), f"_{name}") for n in "kv")
      out = out + to(stream.scale)[:, None, None, None] * attend(q, k, v)
    return out.transpose(1, 2).flatten(2) @ w["to_out_0"]["kernel"]

  def norm(w, y):
    return torch.nn.functional.layer_norm(
      y, y.shape[-1:], w["scale"], w["bias"], 1e-5
    )

  def feed_forward(w, y):
    value, gate = (
      y @ w["net_0_proj"]["kernel"] + w["net_0_proj"]["bias"]
    ).chunk(2, -1)
    return (value * silu(gate)) @ w["net_2"]["kernel"] + w["net_2"]["bias"]

  def block(w, y, *, copy=False):
    one, two = (0.0, 0.0, None), (0.0, 0.0, None)
    if modulation is not None:
      parts = (modulation + w["to_scale_shift_gate"])[:, None].chunk(6, dim=-1)
      one, two = parts[:3], parts[3:]

    def branch(name, layer, scale, shift, gate):
      out = layer(norm(w[name], y) * (1 + scale) + shift)
      return out if gate is None else out * torch.sigmoid(1 - gate)

    y = y + branch("norm1", lambda h: attention(w["attn1"], h, h, turn), *one)
    h = norm(w["norm2"], y)
    y = y + attention(w["attn2"], h, tokens, others=() if copy else decoupled)
    for name, stream in () if copy else own:
      h = norm(w[f"norm_{name}"], y)
      out = attention(w[f"attn_{name}"], h, to(stream.tokens))
      y = y + to(stream.scale)[:, None, None] * out
    for name, sequence in () if copy else conditions.block.items():
      y = y + in_front(to(sequence)) @ w[f"block_{name}"]["kernel"]
    return y + branch("norm3", lambda h: feed_forward(w["ff"], h), *two)

  def in_front(sequence):
    """Zeros where the prepended token is."""
    blank = y.shape[1] - sequence.shape[1]
    return torch.nn.functional.pad(sequence, (0, 0, blank, 0))

  angles = 2 * torch.pi * time[:, None] * p["time_proj"]["weight"]
  clip = mlp("timestep_proj", torch.cat([angles.cos(), angles.sin()], -1))
  clip = clip + mlp("global_proj", to(conditions.vector))
  tokens = torch.cat(
    [to(s.tokens) for _, s in streams if s.mode == "concat"], 1
  )
  tokens = mlp("cross_attention_proj", tokens)
  y = (x + x @ p["preprocess_conv"]["kernel"]) @ p["proj_in"]["kernel"]
  for name, sequence in conditions.input.items():
    y = y + to(sequence) @ p[f"input_{name}"]["kernel"]
  modulation = None
  if config.conditioning == "adaln":
    modulation = mlp("global_cond_embedder", clip)
  else:
    y = torch.cat([clip[:, None], y], dim=1)
  turn = torch.arange(y.shape[1])[:, None] * 10_000.0 ** (
    -torch.arange(0, size // 2, 2, dtype=torch.float64) / (size // 2)
  )
  # Control: copies of the first blocks, each adding behind its original.
  added = [0.0] * config.depth
  for name, control in conditions.control.items():
    branch = p[f"control_{name}"]
    h = y + in_front(to(control.hint) @ branch["hint"]["kernel"])
    for i in range(config.control_depth):
      w = jax.tree.map(lambda a, i=i: a[i], branch["blocks"])
      h = block(w["block"], h, copy=True)
      out = h @ w["out"]["kernel"]
      added[i] = added[i] + to(control.scale)[:, None, None] * out
  for i in range(config.depth):
    w = jax.tree.map(lambda a, i=i: a[i], p["transformer_blocks"])
    y = block(w, y) + added[i]
  y = y[:, -x.shape[1] :] @ p["proj_out"]["kernel"]
  return (y + y @ p["postprocess_conv"]["kernel"]).numpy()


def test_adaln_and_qk_norm_follow_their_formulas():
  config = dataclasses.replace(SMALL, conditioning="adaln", qk_norm=True)
  conditions = text_only()
  variables = parameters(config, conditions, seed=4)
  got = applied(config)(variables, *inputs(), conditions)
  want = formulas(variables["params"], *inputs(), conditions, config)
  assert relative(got, want) < 1e-5


WITH_CONTROL = dataclasses.replace(SMALL, control_depth=2)


def everything(*drop):
  """All five kinds of entry, but for those named."""
  full = Conditions(
    streams={
      "text": stream(1),
      "sound": stream(2, tokens=3),
      "frames": stream(
        3, tokens=4, mode="decoupled", scale=jnp.full(BATCH, 0.7)
      ),
      "masked": stream(8, tokens=5, mode="layer", scale=jnp.full(BATCH, 0.6)),
    },
    input={"loudness": normal(4, BATCH, LENGTH, 6)},
    block={"objects": normal(5, BATCH, LENGTH, 6)},
    control={
      "events": Control(
        hint=normal(6, BATCH, LENGTH, 1), scale=jnp.full(BATCH, 1.5)
      )
    },
    vector=normal(7, BATCH, 6),
  )
  fields = {}
  for name in ("streams", "input", "block", "control"):
    entries = getattr(full, name)
    fields[name] = {k: e for k, e in entries.items() if k not in drop}
  return full.replace(**fields)


ENTRIES = ("frames", "masked", "loudness", "objects", "events")


@pytest.fixture(scope="module")
def trained():
  return parameters(WITH_CONTROL, everything(), seed=5)


@pytest.fixture(scope="module")
def output(trained):
  return np.asarray(applied(WITH_CONTROL)(trained, *inputs(), everything()))


def test_entries_follow_their_formulas(trained, output):
  want = formulas(trained["params"], *inputs(), everything(), WITH_CONTROL)
  assert relative(output, want) < 1e-5


def test_a_new_entry_leaves_a_trained_model_as_it_was(trained):
  """Trained backbone, initial entries: the output of the backbone alone."""
  initial = parameters(WITH_CONTROL, everything())["params"]
  old = parameters(SMALL, everything(*ENTRIES), seed=6)["params"]
  merged = merge(initial, old)
  got = applied(WITH_CONTROL)({"params": merged}, *inputs(), everything())
  want = applied(SMALL)({"params": old}, *inputs(), everything(*ENTRIES))
  np.testing.assert_array_equal(np.asarray(got), np.asarray(want))
  assert np.std(want) > 0.1


def merge(initial, old):
  if not isinstance(initial, dict):
    return old
  return {k: merge(v, old[k]) if k in old else v for k, v in initial.items()}


@pytest.mark.parametrize("name", ["text", "sound", *ENTRIES, "vector"])
def test_every_entry_changes_the_output(trained, output, name):
  moved = jax.tree_util.tree_map_with_path(
    lambda path, x: (
      x + 1 if x.dtype != bool and f"'{name}'" in quoted(path) else x
    ),
    everything(),
  )
  got = applied(WITH_CONTROL)(trained, *inputs(), moved)
  assert relative(got, output) > 1e-3


def quoted(path):
  names = [str(getattr(k, "key", getattr(k, "name", ""))) for k in path]
  return " ".join(f"'{n}'" for n in names)


def test_scale_zero_switches_entries_off(trained):
  conditions = everything()
  for entries, name in (
    (conditions.streams, "frames"),
    (conditions.streams, "masked"),
    (conditions.control, "events"),
  ):
    entries[name] = entries[name].replace(scale=jnp.zeros(BATCH))
  got = applied(WITH_CONTROL)(trained, *inputs(), conditions)
  without = everything("frames", "masked", "events")
  want = applied(WITH_CONTROL)(trained, *inputs(), without)
  assert relative(got, np.asarray(want)) < 1e-5


def test_masked_tokens_and_padding_do_not_matter(trained, output):
  conditions = everything()
  for name in ("text", "frames", "masked"):
    old = conditions.streams[name]
    conditions.streams[name] = old.replace(
      tokens=jnp.concatenate([old.tokens, 9 * normal(8, BATCH, 2, 24)], axis=1),
      mask=jnp.pad(old.mask, ((0, 0), (0, 2))),
    )
  pad = lambda y: jnp.concatenate([y, 9 * y[:, :4]], axis=1)  # noqa: E731
  conditions = conditions.replace(
    input=jax.tree.map(pad, conditions.input),
    block=jax.tree.map(pad, conditions.block),
  )
  control = conditions.control["events"]
  conditions.control["events"] = control.replace(hint=pad(control.hint))
  x, time = inputs()
  mask = jnp.arange(LENGTH + 4)[None] < jnp.full((BATCH, 1), LENGTH)
  apply = applied(WITH_CONTROL)
  got = apply(trained, pad(x), time, conditions, mask=mask)
  assert relative(got[:, :LENGTH], output) < 1e-5
  seen = apply(trained, pad(x), time, conditions, mask=jnp.ones_like(mask))
  assert relative(seen[:, :LENGTH], output) > 1e-3


def test_clips_of_a_batch_are_independent(trained, output):
  order = np.array([2, 0, 1])
  shuffled = jax.tree.map(lambda a: a[order], (*inputs(), everything()))
  got = applied(WITH_CONTROL)(trained, *shuffled)
  assert relative(got, output[order]) < 1e-5


def test_execution_options_do_not_change_gradients():
  conditions = text_only()
  variables = parameters(SMALL, conditions, seed=7)

  def gradient(**change):
    model = dit.DiT(dataclasses.replace(SMALL, **change))

    @jax.jit
    @jax.grad
    def slope(variables):
      return jnp.mean(model.apply(variables, *inputs(), conditions) ** 2)

    leaves = jax.tree.leaves(slope(variables))
    return np.concatenate([np.ravel(leaf) for leaf in leaves])

  got = gradient(unroll=3, remat="dots")
  assert relative(got, gradient()) < 1e-5


def test_bfloat16_stays_close_and_returns_float32(trained, output):
  config = dataclasses.replace(WITH_CONTROL, dtype="bfloat16")
  got = applied(config)(trained, *inputs(), everything())
  assert got.dtype == jnp.float32
  error = np.sqrt(np.mean((got - output) ** 2)) / output.std()
  assert 1e-4 < error < 0.05
  # Not rounded on the way out: guidance would amplify that.
  assert np.mean(got == got.astype(jnp.bfloat16)) < 0.2


def test_separate_blocks_are_the_stacked_ones(trained, output):
  params = dit.separate_blocks(trained["params"])
  assert "transformer_blocks" not in params
  got = applied(WITH_CONTROL)({"params": params}, *inputs(), everything())
  assert relative(got, output) < 1e-6


def test_controls_start_as_copies(trained):
  params = dit.start_controls(trained["params"])
  base = trees.flatten(params["transformer_blocks"])
  copy = trees.flatten(params["control_events"]["blocks"]["block"])
  # The copy has no part in what was added to the base.
  assert {p for p in base if "frames" in p} == {
    p for p in base.keys() - copy.keys() if "frames" in p
  }
  assert "attn1/to_q/kernel" in copy
  for path, leaf in copy.items():
    np.testing.assert_array_equal(base[path][:2], leaf, err_msg=path)
  kept = trained["params"]["control_events"]["blocks"]["out"]
  assert params["control_events"]["blocks"]["out"] is kept


def test_what_cannot_be_run_is_refused():
  with pytest.raises(ValueError, match="concat stream"):
    parameters(WITH_CONTROL, everything("text", "sound"), seed=0)
  with pytest.raises(ValueError, match="control_depth"):
    parameters(SMALL, everything(), seed=0)


@pytest.mark.parametrize("heads_at_a_time", [12, 5, 1])
@pytest.mark.parametrize("masked", [False, True])
def test_attend_equals_torch(masked, heads_at_a_time, monkeypatch):
  q, k, v = normal(0, 2, 7, 6, 8), normal(1, 2, 5, 3, 8), normal(2, 2, 5, 3, 8)
  mask = jnp.array([[1, 1, 0, 1, 0], [0, 0, 0, 1, 1]], bool) if masked else None
  as_torch = [
    torch.tensor(np.asarray(a)).transpose(1, 2).requires_grad_()
    for a in (q, k, v)
  ]
  want = torch.nn.functional.scaled_dot_product_attention(
    *as_torch,
    attn_mask=torch.tensor(np.asarray(mask))[:, None, None] if masked else None,
    enable_gqa=True,
  )
  weight = normal(3, 2, 7, 6, 8)
  want.backward(torch.tensor(np.asarray(weight)).transpose(1, 2))

  # 12 heads in even groups: of 5 at most are 4.
  monkeypatch.setattr(attention, "_SCORES", heads_at_a_time * 7 * 5 + 34)
  got, backward = jax.vjp(lambda *x: attention.attend(*x, mask=mask), q, k, v)
  np.testing.assert_allclose(
    got, want.detach().transpose(1, 2).numpy(), atol=1e-6
  )
  for slope, x in zip(backward(weight), as_torch, strict=True):
    np.testing.assert_allclose(slope, x.grad.transpose(1, 2).numpy(), atol=3e-6)


def test_long_clips_hold_the_scores_of_few_heads():
  heads, length = 24, 1024
  x = jax.ShapeDtypeStruct((1, length, heads, 64), jnp.float32)
  whole = heads * length**2 * 4
  compiled = jax.jit(attention.attend).lower(x, x, x).compile()
  assert compiled.memory_analysis().temp_size_in_bytes < 0.6 * whole
