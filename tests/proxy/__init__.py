"""Tests of a Px in this process, with scripted upstreams and origins."""
