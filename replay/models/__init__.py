"""Talking to models: catalogue, embedded servers, routing by name, and the OpenAI-compatible client."""
