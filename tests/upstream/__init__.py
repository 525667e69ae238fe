"""Tests of `px.upstream`."""
