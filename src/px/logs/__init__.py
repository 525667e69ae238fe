"""The log, the access log, crash logs."""
