"""The ways in: HTTP, the page, the command line. `wiring.py` is the one composition root."""
