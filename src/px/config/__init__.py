"""From option tables, command line, environment and files to frozen settings."""
