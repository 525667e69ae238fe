"""Tests of `px.io`."""
