"""Front ends whose clients get tunnels only: SOCKS5, and ports that lead to one target."""
