"""Recurring replays: entries that people make, and the times at which the scheduler submits them.

- `times`     cron expressions: when something is due, and what was due
- `entry`     what is to be replayed, how, and how far that has come
- `store`     entries as durable files below the data directory
- `adding`    a file of tasks, copied and checked, on its way into an entry
- `firing`    what is due becomes a batch, once
"""
