"""Cutting: a model as a sequence of segments, the common blocks among them."""
