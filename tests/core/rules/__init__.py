"""Tests of `px.core.rules`."""
