"""Feeds: where `legodnn run` takes its inputs from, how it runs models on them, and how it reports the results."""
