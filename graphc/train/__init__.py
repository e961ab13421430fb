"""Models, and how they are trained, evaluated and saved."""
