"""The terminal UI of Antiphon: a client of the journal."""
