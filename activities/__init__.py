"""Every side effect: what reaches the outside world, the audit log and the policy in force."""
