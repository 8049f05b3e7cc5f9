"""Pages about people: clinic switch, members, invitations, tokens."""
