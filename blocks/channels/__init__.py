"""Channels: which channels of a block belong together, by a rule for each operation of Keras."""
