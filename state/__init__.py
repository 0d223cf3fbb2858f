"""What is known, kept in Redis. So far only the values that the planner reads; what stores them is still to come."""
