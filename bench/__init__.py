"""Benchmarks of the service and of training. Tests check their parts, never a figure.

serving      make bench and make bench-peers: servers in alternating rounds
soak         make soak: a million requests to one server
training     make bench-training: an ensemble compared with calls of fit
contestants  the servers to measure: command, request, environment
peers        other serving systems, each in its own environment
floor        a minimal Flask service; floor_wsgi is the same without Flask
tutorial     the service as tutorials build it
bodies       request bodies in each server's format
running      start, first answer, CPU time, memory and stop of a server
load         the load generator
machine      header of a report: command, machine, versions
results      results of a run, and their tables in Markdown
"""
