"""The processes of one Px: a supervisor, the workers that serve clients, and control of both."""
