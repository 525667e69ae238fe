"""Tests of `px.system.network_change`."""
