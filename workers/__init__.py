"""The Celery application and its thin tasks, the transport they listen on, and the evidence writer."""
