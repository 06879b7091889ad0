"""Importing: models and data sets as users have them become one float32 graph and arrays of images."""
