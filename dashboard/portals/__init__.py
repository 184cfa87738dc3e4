"""Keep a portal as a tenant: installation, bindings, rate limits, call log, personal data."""
