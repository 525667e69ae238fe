"""The command line: actions, help, explanations. The only place that ends the process."""
