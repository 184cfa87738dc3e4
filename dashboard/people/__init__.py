"""Keep a portal's people: accounts, the list of employees, snapshots, permissions."""
