"""Text in, verdict out: the rails that every hop passes. Imports nothing else of ours."""
