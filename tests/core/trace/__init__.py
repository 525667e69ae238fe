"""Tests of `px.core.trace`."""
