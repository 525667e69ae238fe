"""Tests of `px.core.http`."""
