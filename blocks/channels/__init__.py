"""Channels: which channels of a block can only be removed together, by a rule for each operation of Keras."""
