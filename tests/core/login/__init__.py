"""Tests of `px.core.login`."""
