"""Every test may import `support`: pytest puts the directory of this file on the path."""
