"""One folder a vendor, with whatever it offers: a destination, a callback, a client. ``base`` holds their contracts."""
