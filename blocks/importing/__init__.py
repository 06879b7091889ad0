"""Importing: models and data as users have them, opened as one float32 graph and arrays of images."""
