"""What the dashboard is given: its acts and its books, which it may not reach itself."""
