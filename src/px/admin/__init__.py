"""Steering a Px that runs, and looking at it."""
