"""The commands that people type: `janitoo`, `jnt_query`, `jnt_spy`, `jnt_collect`."""
