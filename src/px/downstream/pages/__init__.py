"""Px's own pages, on its own address: status, events, metrics, health, explanation, PAC script."""
