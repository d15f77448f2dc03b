"""The jobs that a simulated store lists: their lives, and which of them exist at a moment."""
