"""Tests of `px.system.state`."""
