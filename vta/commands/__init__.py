"""One thin file for each `python -m vta <command>`."""
