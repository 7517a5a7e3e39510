"""Tests of the documentation: its blocks run, its reference is complete, its notebook executes."""
