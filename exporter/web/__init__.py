"""HTTP in: routes, content negotiation, the landing page and the server. No cloud API is called from here directly."""
