"""The names of what the Slack door keeps in the library's folder."""

BOOK, DIRECTORY = "slack.sqlite", "slack.yaml"
