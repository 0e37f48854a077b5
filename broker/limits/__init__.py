"""Limits that hold over all workers and hosts, since they are counted in the broker: see `docs/limits.md`.

`bounds` says which there are, `rates` counts requests and tokens of the last minute for each endpoint, `budget` what a
lane has spent, `admission` asks both before each request of a model, `recount` finds again what a broker has lost. How
many tasks of a lane are in work at once is counted by none of them: that is the set of its leases (`broker.lanes`).
"""
