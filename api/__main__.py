"""`python -m api`: the command line, for a clone that was never installed."""

from api.cli import main

# The children that read pages import the main module again, under another name.
if __name__ == "__main__":
    main()
