"""How fast Px is, beside other proxies: `python -m bench`. See docs/performance.md."""
