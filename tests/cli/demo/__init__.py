"""Tests of `px.cli.demo`."""
