"""Tests of `px.upstream.connections`."""
