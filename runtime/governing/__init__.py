"""Governing: a `Governor` keeps the budget of a running `Runtime` in step with what the device can spare."""
