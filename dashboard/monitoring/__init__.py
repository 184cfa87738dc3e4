"""Monitor the application: counters, gauges, readiness."""
