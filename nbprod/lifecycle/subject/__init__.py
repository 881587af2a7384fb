"""Personal data: find a subject, erase, prove that nothing is left."""
