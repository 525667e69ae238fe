"""The processes of one Px: a supervisor, and the workers that serve clients."""
