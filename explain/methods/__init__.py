"""Methods of explanation, one a file."""
