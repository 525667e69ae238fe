"""Tests of `px.core.socks`."""
