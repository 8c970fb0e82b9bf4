"""The console of a running server: its commands, what they print, and the prompt. Needs the extra `console`."""
