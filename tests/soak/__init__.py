"""A house that is lived in for as long as one likes, and the rule that says whether anything in it grows."""
