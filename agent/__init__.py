"""A question in, a checked and cited answer out. Read `graph.py`; `run.py` is the public face."""
