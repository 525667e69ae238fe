"""What goes on at a worker: counters, the traffic of the last hour, requests and tunnels under way."""
