"""Tests of `px.config`."""
