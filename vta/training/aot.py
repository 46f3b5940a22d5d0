"""The real train step, compiled for TPUs that are not here.

libtpu compiles on any machine. What comes out says whether the step fits into a
chip's memory and what it sends to others; how long it takes is an estimate:
XLA's own, of what every operation has to compute or to move in a chip's memory,
and what has to pass a chip's links at their full rate. Neither is measured.

Nothing is computed: parameters, state and batch are shapes with a place.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
import ml_collections
from jax.experimental import topologies
from jax.sharding import Mesh, NamedSharding

from vta import errors
from vta.data import buckets
from vta.models import dit
from vta.training import costs, hlo, sharding, state, system
from vta.training import mesh as mesh_lib
from vta.training.tasks import objective

STEPS = 100_000  # whose cost is told


@dataclasses.dataclass(frozen=True, kw_only=True)
class Candidate:
  """One way to run a config.

  Attributes:
    batch: whole windows a step, of all chips together.
    remat: what the backward pass recomputes.
    mesh: sizes of axes.
  """

  batch: int
  remat: str
  mesh: Mapping[str, int]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Memory:
  """Bytes of a chip; outputs that take an argument's place count once."""

  arguments: int
  outputs: int
  temporaries: int
  code: int

  @property
  def all(self) -> int:
    """Together."""
    return self.arguments + self.outputs + self.temporaries + self.code


@dataclasses.dataclass(frozen=True, kw_only=True)
class Estimate:
  """What compiling a candidate told; all but `fits` and bytes are estimates.

  Attributes:
    candidate: what was compiled.
    chips: in the topology.
    clips: in a step's batch.
    latents: of a clip.
    fits: whether XLA found room for it.
    why: what it said where it did not, or why there is no time.
    memory: of a chip.
    traffic: collectives of a step.
    flops: operations of a step, of all chips.
    compute: seconds, XLA's estimate.
    links: seconds that collectives take at the links' full rate.
    mfu: useful operations in `compute` alone, of the peak.
    mfu_with_links: the same if no collective hides behind computation.
    price: of 100k steps, by `compute` and `links` one after the other.
  """

  candidate: Candidate
  chips: int
  clips: int
  latents: int
  fits: bool
  why: str = ""
  memory: Memory | None = None
  traffic: hlo.Traffic | None = None
  flops: costs.Flops | None = None
  compute: float | None = None
  links: float | None = None
  mfu: float | None = None
  mfu_with_links: float | None = None
  price: float | None = None


def chip(topology: str) -> costs.Chip:
  """Of a topology's name.

  Raises:
    InputError: its kind is none of ours.
  """
  kind = topology.partition(":")[0]
  if kind not in costs.CHIPS:
    raise errors.InputError(
      "--topology",
      f"{topology!r} begins with none of {', '.join(costs.CHIPS)}",
    )
  return costs.CHIPS[kind]


def devices(topology: str) -> Sequence[Any]:
  """The chips of a topology, as "v5p:4x4x4", to compile for.

  Raises:
    InputError: libtpu is not installed, or has no such topology.
  """
  chip(topology)
  if importlib.util.find_spec("libtpu") is None:
    raise errors.InputError(
      "libtpu",
      "compiles for TPUs and is not installed: pip install -r "
      "requirements-tpu.txt",
    )
  # Otherwise a v4's two cores are two devices.
  whole = {"chip_config_name": "megacore"} if topology[:2] == "v4" else {}
  try:
    made = topologies.get_topology_desc(
      platform="tpu", topology_name=topology, **whole
    )
  except (RuntimeError, ValueError) as error:
    raise errors.InputError("--topology", f"{topology!r}: {error}") from None
  return made.devices


def lower(
  made: objective.Objective,
  config: ml_collections.ConfigDict,
  mesh: Mesh,
  *,
  clips: int,
  latents: int,
) -> jax.stages.Lowered:
  """The step of the last phase, which a run spends its time in.

  Args:
    made: of the config.
    config: the run's.
    mesh: of devices that need not be here.
    clips: in a batch.
    latents: of a clip.
  """
  phase = made.phases[-1]

  def create() -> state.TrainState:
    params = {phase.group: made.system.init(jax.random.key(config.seed))}
    return state.create(params, made.phases, averaged=made.averaged)

  # One clip, which networks are shown at first, cannot be cut.
  current = jax.eval_shape(create)
  batch = made.shapes(window=latents, clips=clips)
  places = sharding.shardings(current, mesh)
  split = NamedSharding(mesh, mesh_lib.BATCH)

  def at(leaf, place):
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=place)

  step = state.make_step(
    phase,
    seed=config.seed,
    ema_maximum=config.ema_maximum,
    ema_power=config.ema_power,
    out_shardings=places,
  )
  with mesh_lib.use(mesh):
    return step.lower(
      jax.tree.map(at, current, places),
      {},
      jax.tree.map(lambda leaf: at(leaf, split), batch),
    )


def estimate(
  config: ml_collections.ConfigDict,
  codec: Mapping[str, Any],
  candidate: Candidate,
  *,
  topology: str,
  division: int = 1,
  price: float | None = None,
) -> Estimate:
  """Compiles a candidate.

  XLA counts a loop's body once, so the step is compiled a second time with two
  blocks an iteration, and what that adds is multiplied: `costs.left_out`.

  Args:
    config: a denoiser's.
    codec: a config's section "codec".
    candidate: what to compile.
    topology: what to compile it for.
    division: of the window; see `vta.data.buckets`.
    price: of a chip for an hour.

  Raises:
    InputError: for what no topology could run.
  """
  made = _objective(config, codec, candidate.remat, 1)
  latents, times = _window(made, config, division)
  kind, chips = chip(topology), devices(topology)
  mesh = mesh_lib.make(candidate.mesh, devices=chips)
  clips, shares = (
    candidate.batch * times,
    mesh.shape["data"] * mesh.shape["fsdp"],
  )
  if clips % shares:
    raise errors.InputError(
      "--batch", f"{clips} clips cannot be shared by {shares} groups of chips"
    )
  size = {"clips": clips, "latents": latents}
  known = {"candidate": candidate, "chips": len(chips), **size}
  try:
    compiled = lower(made, config, mesh, **size).compile()
    memory = _memory(compiled)
    if memory.all > kind.hbm:
      return Estimate(**known, fits=False, why="too large", memory=memory)
    twice = _objective(config, codec, candidate.remat, 2)
    again = lower(twice, config, mesh, **size).compile()
  except jax.errors.JaxRuntimeError as error:
    return Estimate(**known, fits=False, why=_reason(error))
  network = made.system.denoiser.config
  conditions = _conditions(made, latents)
  flops = costs.step(network, conditions, **size)
  traffic = hlo.traffic(compiled.as_text(), devices=len(chips))
  first, second = _seconds(compiled), _seconds(again)
  links = traffic.wire / kind.links if kind.links else None
  told = {"memory": memory, "traffic": traffic, "flops": flops, "links": links}
  # Seen of a v5e program: nonsense, which would be told as minutes below zero.
  if not 0.0 < first <= second:
    return Estimate(**known, fits=True, why="XLA's time is unusable", **told)
  compute = first + (second - first) * costs.left_out(
    network, conditions, latents=latents
  )
  ideal = flops.useful / (len(chips) * kind.peak)
  together = compute + (links or 0.0)
  return Estimate(
    **known,
    fits=True,
    **told,
    compute=compute,
    mfu=ideal / compute,
    mfu_with_links=ideal / together,
    price=price and price * len(chips) * together * STEPS / 3600,
  )


def search(
  config: ml_collections.ConfigDict,
  codec: Mapping[str, Any],
  candidates: Sequence[Candidate],
  **options: Any,
) -> Iterator[Estimate]:
  """Estimates of candidates, as they are made; what cannot run is one too.

  What does not fit is not tried again with more clips.

  Args:
    config, codec: see `estimate`.
    candidates: small batches before large ones.
    **options: `estimate`'s others.
  """
  full: dict[tuple[Any, ...], int] = {}
  for one in candidates:
    rest = (one.remat, *sorted(one.mesh.items()))
    if one.batch > full.get(rest, one.batch):
      yield _refused(one, f"{full[rest]} do not fit")
      continue
    try:
      made = estimate(config, codec, one, **options)
    except errors.InputError as error:
      made = _refused(one, error.message)
    if not made.fits:
      full[rest] = one.batch
    yield made


def best(estimates: Sequence[Estimate]) -> Estimate | None:
  """Of those that fit, the one whose MFU is highest with links counted."""
  fitting = [one for one in estimates if one.fits]
  return max(fitting, key=lambda one: one.mfu_with_links or 0.0, default=None)


def _refused(candidate: Candidate, why: str) -> Estimate:
  return Estimate(
    candidate=candidate, chips=0, clips=0, latents=0, fits=False, why=why
  )


def _objective(config, codec, remat: str, unroll: int) -> objective.Objective:
  """Of a config, its blocks so many an iteration."""
  config = ml_collections.ConfigDict(config.to_dict())
  if config.get("task") != "denoiser" or config.get("lora", {}).get("rank"):
    raise errors.InputError(
      "config: task", "only denoisers are compiled, without adapters"
    )
  if remat not in dit.REMATS:
    raise errors.InputError(
      "--remat", f"{remat!r} is none of {', '.join(dit.REMATS)}"
    )
  config.denoiser.update({"remat": remat, "unroll": unroll})
  if system.codec(codec).config.latents != config.denoiser.latents:
    raise errors.InputError(
      "config: denoiser.latents",
      f"is {config.denoiser.latents}, the codec's {codec['latents']}",
    )
  count = config.denoiser.latents
  try:
    return objective.Objective(
      config,
      {
        "codec": codec,
        "latent_mean": [0.0] * count,
        "latent_std": [1.0] * count,
      },
    )
  except (ValueError, TypeError) as error:
    raise errors.InputError("config", str(error)) from None


def _window(made, config, division: int) -> tuple[int, int]:
  """Latents of a clip, and clips for each whole window."""
  divisions = config.data.get("divisions", (1,))
  known = buckets.windows(made.system.window, divisions)
  for latents, times in known:
    if times == division:
      return latents, times
  raise errors.InputError(
    "--division", f"{division} is none of data.divisions, {tuple(divisions)}"
  )


def _conditions(made: objective.Objective, latents: int):
  """Shapes of what the denoiser is given for one clip."""

  def shapes():
    params = made.system.init(jax.random.key(0))
    blank = made.system.blank(latents)
    features = made.system.encode(params, blank)
    return made.system.select(params, features, blank["asked"])

  return jax.eval_shape(shapes)


def _memory(compiled: Any) -> Memory:
  found = compiled.memory_analysis()
  return Memory(
    arguments=found.argument_size_in_bytes,
    outputs=found.output_size_in_bytes - found.alias_size_in_bytes,
    temporaries=found.temp_size_in_bytes,
    code=found.generated_code_size_in_bytes,
  )


def _seconds(compiled: Any) -> float:
  """XLA's "optimal_seconds", a loop's body once."""
  return float(compiled.cost_analysis()["optimal_seconds"])


def _reason(error: Exception) -> str:
  """Of what XLA says in pages, how much it would have needed."""
  said = str(error)
  if match := re.search(r"Used (\S+) of (\S+) hbm", said):
    return f"would need {match[1]} of {match[2]}"
  return " ".join(said.split())[:200]
