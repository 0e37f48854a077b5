"""The Batch HTTP API: files of requests in and files of answers out, in the form of OpenAI's Files and Batches."""
