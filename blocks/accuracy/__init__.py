"""Accuracy: what compositions are worth, measured, and predicted for those that were not measured."""
