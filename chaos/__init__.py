"""The chaos suite: the real system under faults that are drawn at random, and a proof from files of what came of it.

Read downwards: `plan` draws the faults from a seed, `world` holds the processes, `faults` does the damage, `story`
tells one run from start to proof, `checks` decides from files alone, `report` shows it.
"""
