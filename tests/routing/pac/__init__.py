"""Tests of `px.routing.pac`."""
