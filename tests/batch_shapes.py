"""What an objective says of a batch, against an example of the pipeline."""


def assert_as_promised(task, example):
  """Names, shapes and types: what compiles without data is what trains."""
  promised = task.objective.shapes(window=task.system.window, clips=3)
  assert {k: (v.shape, v.dtype) for k, v in promised.items()} == {
    k: ((3, *v.shape), v.dtype) for k, v in example.items()
  }
