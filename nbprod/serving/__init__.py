"""The service: an application that answers with a model version, proves its fast path, and logs before it answers.

Its modules may import what they need at once: they are only imported when a service starts.
"""
