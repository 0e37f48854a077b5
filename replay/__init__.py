"""The engine: pure domain code that retrieves, prompts, gates and decides.

Nothing here imports a queue, a broker or web code. Start at `replay.pipeline`, which reads downwards.
"""
