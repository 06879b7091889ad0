"""Feeds: where inputs come from when the command line runs models, and what is reported of it."""
