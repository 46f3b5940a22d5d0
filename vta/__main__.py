"""`python -m vta`."""

import sys

from vta import cli

if __name__ == "__main__":
  sys.exit(cli.main())
