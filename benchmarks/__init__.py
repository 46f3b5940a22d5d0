"""Speed and memory, shown by commands: `python -m benchmarks.<name>`."""
