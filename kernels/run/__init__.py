"""The executor, the threads that walk its table, and their memory."""
