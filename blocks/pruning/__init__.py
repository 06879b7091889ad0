"""Pruning: descendants of a block lose whole channels, and their remaining weights are fitted again."""
