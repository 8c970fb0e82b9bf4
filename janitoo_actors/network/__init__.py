"""The Janitoo network as a whole: who is on it, and which addresses are whose."""
