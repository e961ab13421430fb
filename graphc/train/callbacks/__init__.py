"""What training calls, logs and shows."""
