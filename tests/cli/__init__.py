"""Tests of `px.cli`."""
