"""The house stands: imports go down or sideways, never up (design.md)."""

import ast
import functools
import pathlib

import pytest

ROOT = pathlib.Path(__file__).parents[1]

# Rooms that share a floor may import each other, except the pure ones below.
FLOORS = (
  {"errors", "files"},
  {"signals", "conditioning"},
  {"models", "diffusion", "media", "data", "metrics"},
  {"encoders", "training", "interop"},
  {"annotators"},
  {"inference", "evaluation"},
  {"commands", "cli", "__main__"},
)
FLOOR_OF = {room: i for i, rooms in enumerate(FLOORS) for room in rooms}

# Rooms that know no config, dataset, mesh or file, and what they may import;
# and annotators, which are no part of the core.
PURE = {
  "annotators": {"annotators", "signals", "media", "encoders", "errors"},
  "signals": {"signals", "errors", "files"},  # cue sheets are written there
  "conditioning": {"conditioning", "signals"},
  "models": {"models", "conditioning", "signals"},
  "diffusion": {"diffusion"},
}
FRAMEWORKS = {"jax", "flax", "optax", "torch"}


@functools.cache
def imports(path: pathlib.Path) -> set[str]:
  """Every module that a file imports, inside functions too."""
  found = set()
  for node in ast.walk(ast.parse(path.read_text())):
    if isinstance(node, ast.Import):
      found |= {alias.name for alias in node.names}
    elif isinstance(node, ast.ImportFrom):
      assert node.level == 0, f"{path}: relative import"
      # `from vta import errors` imports vta.errors.
      found |= {f"{node.module}.{alias.name}" for alias in node.names}
  return found


@functools.cache
def imports_at_once(path: pathlib.Path) -> set[str]:
  """Every module that a file imports outside of functions."""
  tree = ast.parse(path.read_text())
  inner = {
    node
    for function in ast.walk(tree)
    if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
    for node in ast.walk(function)
  }
  found = set()
  for node in set(ast.walk(tree)) - inner:
    if isinstance(node, ast.Import):
      found |= {alias.name for alias in node.names}
    elif isinstance(node, ast.ImportFrom):
      found |= {f"{node.module}.{alias.name}" for alias in node.names}
  return found


def rooms_of(path: pathlib.Path) -> set[str]:
  """The rooms of vta that a file imports."""
  names = (name.split(".") for name in imports(path))
  return {name[1] for name in names if name[0] == "vta" and len(name) > 1}


def room_of(path: pathlib.Path) -> str:
  """The room that a file of vta is in."""
  return path.relative_to(ROOT / "vta").parts[0].removesuffix(".py")


def sources() -> list[pathlib.Path]:
  """Every file of vta but the package's own."""
  files = sorted((ROOT / "vta").rglob("*.py"))
  assert len(files) > 40
  return [path for path in files if path != ROOT / "vta" / "__init__.py"]


@pytest.mark.parametrize("path", sources(), ids=lambda p: str(p.name))
def test_imports_never_run_upwards(path):
  room = room_of(path)
  above = {r for r in rooms_of(path) if FLOOR_OF[r] > FLOOR_OF[room]}
  assert not above, f"{path} is below {above}"


@pytest.mark.parametrize("room", PURE)
def test_pure_rooms_know_no_more_than_they_may(room):
  for path in (ROOT / "vta" / room).rglob("*.py"):
    assert rooms_of(path) <= PURE[room], path


@pytest.mark.parametrize("room", ["signals", "media", "commands", "cli.py"])
def test_no_framework_where_start_up_or_portability_matters(room):
  for path in sources():
    if path.relative_to(ROOT / "vta").parts[0] == room:
      roots = {name.split(".")[0] for name in imports(path)}
      assert not roots & FRAMEWORKS, path


def test_only_media_opens_media_files():
  for path in sources():
    roots = {name.split(".")[0] for name in imports(path)}
    if room_of(path) != "media":
      assert not roots & {"av", "soundfile", "audioread"}, path


def test_nothing_in_vta_imports_the_outer_folders():
  outer = {"configs", "data_prep", "launch", "benchmarks", "tests"}
  for path in sources():
    roots = {name.split(".")[0] for name in imports(path)}
    assert not roots & outer, path


def test_annotators_are_imported_when_they_are_wanted():
  users = set()
  for path in sources():
    if room_of(path) != "annotators" and "annotators" in rooms_of(path):
      users.add(room_of(path))
      assert not any(
        name.startswith("vta.annotators") for name in imports_at_once(path)
      ), path
  assert users == {"inference"}


def test_annotators_import_torch_when_a_model_is_loaded():
  packages = {"torch", "transformers", "HanTa"}
  found = set()
  for path in (ROOT / "vta" / "annotators").glob("*.py"):
    roots = {name.split(".")[0] for name in imports_at_once(path)}
    assert not roots & packages, path
    found |= {name.split(".")[0] for name in imports(path)} & packages
  assert found == packages
