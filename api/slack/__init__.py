"""The Slack door: what is asked there is kept, answered once, and shown to nobody who may not read it."""
