"""Measure the whole application (`make bench`, `make scale`). Neither it nor its tests import this package."""
