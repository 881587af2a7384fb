"""The service: an ASGI application that answers with one model version, proves its fast path, and logs before it answers.

Its modules may import what they need at once: they are only imported when a service starts.
"""
