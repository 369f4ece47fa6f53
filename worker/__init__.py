"""The processes: worker, gateway, watchdog, and the supervisor of ``tocsin up``; their settings and logs."""
