"""Admission: which accepted answers become records of the corpus, and which records go again.

Everything here is a function of the evidence, of one version of the corpus and of a policy; `docs/admission.md` tells
the rules. `gathering` takes out of the evidence what is needed, `deciding` decides, `ledger` writes down what changed.
"""
