"""Tests of `px.system.proxy_settings`."""
