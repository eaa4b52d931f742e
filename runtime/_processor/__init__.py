"""Streams of requests: batching, backpressure, priority, statistics.

It imports the layers below and Trio. How a request travels is written in `engine`.
"""
