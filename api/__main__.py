"""`python -m api`: the command line, for a clone that was never installed."""

from api.cli import main

main()
