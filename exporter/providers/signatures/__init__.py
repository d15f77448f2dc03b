"""The signatures of the services: pure functions over what goes on the wire, one module a scheme."""
