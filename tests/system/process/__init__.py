"""Tests of `px.system.process`."""
