"""How fast nbprod is beside other tools, measured side by side in one run; see README.md. Never part of the tests."""
