"""The trace of a request, and its record in the access log."""
