"""The lab: what tests the claims about ``cclib`` by experiment. It imports ``cclib``, which never imports it."""
