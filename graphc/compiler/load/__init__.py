"""From a plan to machine code in memory, and plans kept on disk."""
