"""What is known about records, networks and artifacts; imports neither neighbour room."""
