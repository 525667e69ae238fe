"""Tests of `px.processes`."""
