"""Tests of `px.core.auth`."""
