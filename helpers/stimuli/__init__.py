"""Scenes and questions: what is shown and what is asked."""
