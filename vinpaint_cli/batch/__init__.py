"""Many clips: what a person wrote becomes jobs, a runner does them, a report tells of them."""
