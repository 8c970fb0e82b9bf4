"""`janitoo top`: a live screen of a running server. Needs `textual`, which the extra `console` installs."""
