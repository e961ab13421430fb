"""From a program to a plan, and from the plan to machine code in memory: passes, fusion, plan."""
