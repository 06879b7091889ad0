"""Cutting: a model becomes a sequence of segments, among them the common blocks that get descendants."""
