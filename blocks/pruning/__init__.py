"""Pruning: descendants of a block, with whole channels removed and the remaining weights fitted again."""
