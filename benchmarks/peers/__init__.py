"""The probers that are measured, ours among them: each a program that probes many times and says what it cost.

Every one takes the same arguments and prints the same line of JSON (`common`), so that nobody is measured in
another way than the others.
"""
