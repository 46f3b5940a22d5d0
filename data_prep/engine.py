"""Running a function over many small jobs with Apache Beam.

Jobs leave their results in files, each whole or not at all, and a job whose
file is there is not given: that is all there is to going on after a kill.
Which machine does which job does not matter, as long as all of them see the
same folders.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TextIO

import tqdm

from vta import errors

# Beam warns of Google's clients, which nothing here needs.
logging.disable(logging.WARNING)
import apache_beam as beam  # noqa: E402
from apache_beam.options import pipeline_options  # noqa: E402

logging.disable(logging.NOTSET)

# Jobs of one pipeline on this machine: Beam keeps them all in memory, ten times
# over (1.2 GB for 5,000 of 20 kB).
_AT_ONCE = 4_096
# Around what a worker's error says, so that it is found in Beam's traceback.
_MARK = re.compile(r"<vta-error>(.*?)</vta-error>")


def prepare_environment() -> None:
  """Gives every worker one core; to be called before JAX is first used.

  And the same sums: XLA adds in another order on another number of threads.
  """
  flags = os.environ.get("XLA_FLAGS", "")
  one = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
  if one not in flags:
    os.environ["XLA_FLAGS"] = f"{flags} {one}".strip()
  for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(name, "1")


class _Work(beam.DoFn):
  """Calls a module's function on each job."""

  def __init__(self, work: Callable[[Any], None]):
    self._work = work

  def process(self, job):
    try:
      self._work(job)
    except errors.InputError as error:
      # Beam makes one of its own of whatever is raised, with a traceback of
      # hundreds of lines: what a person is to read of it is marked.
      text = json.dumps([error.where, error.message])
      raise RuntimeError(f"<vta-error>{text}</vta-error>") from None


def run(
  work: Callable[[Any], None],
  jobs: Sequence[Any],
  *,
  workers: int,
  options: Sequence[str],
  done: Callable[[], int],
  name: str,
) -> None:
  """Does all jobs.

  Args:
    work: what is done; it and the jobs are pickled.
    jobs: what it is called with.
    workers: processes on this machine.
    options: Beam's own; with --runner among them, that decides on workers.
    done: how many jobs are done, for the progress bar.
    name: of what is done.

  Raises:
    InputError: a job raised it. Others may have gone on for a while.
  """
  # DirectRunner would look for Prism, a program it downloads; this is the
  # engine that it has for want of it.
  local = not any(option.startswith("--runner") for option in options)
  many = local and workers > 1 and len(jobs) > 1
  given = [*options]
  if local:
    mode = "multi_processing" if many else "in_memory"
    given += ["--runner=FnApiRunner", f"--direct_running_mode={mode}"]
    given += [f"--direct_num_workers={min(workers, len(jobs)) if many else 1}"]
  size = _AT_ONCE if local else max(len(jobs), 1)
  with _quiet(many) as (screen, said), _bar(name, len(jobs), done, screen):
    try:
      for first in range(0, len(jobs), size):
        _run(work, jobs[first : first + size], given, name)
    except Exception as error:
      found = _MARK.search(str(error))
      if found:
        raise errors.InputError(*json.loads(found.group(1))) from None
      screen.write(said())
      raise


def _run(
  work: Callable[[Any], None],
  jobs: Sequence[Any],
  options: Sequence[str],
  name: str,
) -> None:
  pipeline = beam.Pipeline(options=pipeline_options.PipelineOptions(options))
  (
    pipeline
    | "jobs" >> beam.Create(jobs)
    | "spread" >> beam.Reshuffle()
    | name >> beam.ParDo(_Work(work))
  )
  pipeline.run().wait_until_finish()


@contextlib.contextmanager
def _quiet(many: bool) -> Iterator[tuple[TextIO, Callable[[], str]]]:
  """Keeps what Beam and its processes report until it turns out of interest.

  Yields:
    What stderr was, and a function that tells what was kept.
  """
  logger = logging.getLogger("apache_beam")
  level = logger.level
  logger.setLevel(logging.CRITICAL)
  try:
    if not many:
      yield sys.stderr, lambda: ""
      return
    with tempfile.TemporaryFile() as aside, contextlib.ExitStack() as stack:
      sys.stderr.flush()
      saved = os.dup(2)
      stack.callback(os.close, saved)
      stack.callback(os.dup2, saved, 2)
      os.dup2(aside.fileno(), 2)
      screen = stack.enter_context(os.fdopen(os.dup(saved), "w"))

      def said() -> str:
        aside.seek(0)
        return aside.read().decode(errors="replace")

      yield screen, said
  finally:
    logger.setLevel(level)


@contextlib.contextmanager
def _bar(
  name: str, total: int, done: Callable[[], int], screen: TextIO
) -> Iterator[None]:
  """Shows what share of the files is there."""
  before, over = done(), threading.Event()
  with tqdm.tqdm(total=total, desc=name, file=screen) as bar:

    def show() -> None:
      bar.update(done() - before - bar.n)

    def watch() -> None:
      while not over.wait(0.5):
        show()

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
      yield
    finally:
      over.set()
      thread.join()
      show()
