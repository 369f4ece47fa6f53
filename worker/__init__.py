"""The processes: worker, gateway, the embedded Temporal server, and the ``tocsin`` command."""
