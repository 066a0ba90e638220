"""What every package stands on: errors, identifiers, the clock, actors and the database."""
