"""What people read: logs, jobs, verify."""
