"""Count and list the people of a portal: listing, statistics, availability, insights."""
