"""`python -m vta <command>`: finds the command, and makes errors one line.

Exit codes: 0 done, 2 the user's input cannot be used, 130 interrupted; a
command may return others. A traceback is always a bug of ours.
"""

from __future__ import annotations

import argparse
import errno
import importlib
import keyword
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from vta import errors

# Command -> what `python -m vta --help` says of it. Each is a module of
# vta.commands, imported only when it is called: help must not wait for JAX.
COMMANDS = {
  "generate": "score a silent video: text, cue sheet, reference",
  "predict": "write a cue sheet of what a silent video should sound like",
  "demo": "score two synthetic clips, to see the whole path",
  "evaluate": "score a checkpoint on a suite of controls",
  "ablate": "a paper's ablation table on the yard, next to its own numbers",
  "measure": "show the signals of an audio or video file, write its cue sheet",
  "yard": "render clips of the synthetic yard, as records or as videos",
  "validate": "read records again, and say what is wrong with them",
  "train": "train a codec, a denoiser or a predictor from a config",
  "compile": "what a train step needs and costs on a TPU that is not here",
  "merge": "add LoRA adapters to a release, for good",
  "import": "make a release of public Stable Audio weights",
  "export": "write a release for PyTorch users",
}

# What the machine refuses a user, as opposed to what our code got wrong.
_REFUSALS = frozenset(
  {
    errno.EACCES,
    errno.EDQUOT,
    errno.EEXIST,
    errno.EISDIR,
    errno.ENOSPC,
    errno.ENOTDIR,
    errno.EROFS,
  }
)


class _Parser(argparse.ArgumentParser):
  """Says what is wrong in one line; the usage is for `--help`."""

  def error(self, message: str) -> NoReturn:
    self.exit(2, f"error: {message} (see {self.prog} --help)\n")


def main(arguments: Sequence[str] | None = None) -> int:
  """Runs one command.

  Args:
    arguments: what follows `python -m vta`; the process's own when None.

  Returns:
    The exit code. Raises SystemExit for what argparse ends: help, bad usage.
  """
  arguments = sys.argv[1:] if arguments is None else list(arguments)
  args = _parser(arguments).parse_args(arguments)
  try:
    return args.run(args)
  except errors.InputError as error:
    print(f"error: {_line(error)}", file=sys.stderr)
    return 2
  except KeyboardInterrupt:
    return 130
  except BrokenPipeError:
    # `python -m vta measure ... | head`: the reader has seen enough. Python
    # would complain once more when it flushes stdout at exit.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 141
  except OSError as error:
    if error.errno not in _REFUSALS:
      raise
    where = f"{error.filename}: " if error.filename else ""
    print(f"error: {where}{error.strerror}", file=sys.stderr)
    return 2


def _parser(arguments: Sequence[str]) -> argparse.ArgumentParser:
  """A parser that knows the arguments of the one command that is called."""
  parser = _Parser(
    prog="python -m vta",
    description="Controllable video-to-audio.",
    epilog="python -m vta COMMAND --help shows a command's options.",
    allow_abbrev=False,
  )
  commands = parser.add_subparsers(
    title="commands", metavar="COMMAND", required=True
  )
  called = next((a for a in arguments if not a.startswith("-")), None)
  for name, line in COMMANDS.items():
    if name != called:
      commands.add_parser(name, help=line)
      continue
    # A module cannot be called `import`.
    name_ = f"{name}_" if keyword.iskeyword(name) else name
    module = importlib.import_module(f"vta.commands.{name_}")
    # A command's docstring is its help; the examples go below the options.
    description, _, examples = module.__doc__.partition("\nExamples:\n")
    command = commands.add_parser(
      name,
      help=line,
      description=description,
      epilog=f"examples:\n{examples}",
      formatter_class=argparse.RawDescriptionHelpFormatter,
      allow_abbrev=False,
    )
    module.add_arguments(command)
    command.set_defaults(run=module.run)
  return parser


def _line(error: errors.InputError) -> str:
  """The error without the line breaks that a library's message may hold."""
  return " ".join(str(error).split())
