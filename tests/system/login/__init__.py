"""Tests of `px.system.login`."""
