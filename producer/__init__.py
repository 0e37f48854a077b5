"""Batches: tasks in, a durable manifest, bulk enqueue, progress, reconciliation, results out."""
