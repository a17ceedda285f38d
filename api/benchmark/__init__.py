"""How good the served model is, on the suite of its model card, measured by lmms-eval."""
