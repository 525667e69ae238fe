"""Rules and routes: host rules, access, upstream lists, answers of PAC scripts."""
