"""Tell operators how the application is: counters, gauges, readiness."""
