"""PAC scripts: loading a script, the sandboxed process that runs the script, the answers."""
