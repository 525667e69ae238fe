"""Tests of `px.downstream`."""
