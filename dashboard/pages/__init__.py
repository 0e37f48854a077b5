"""The views, one module each; each exports `routes(desk)`."""
