"""What lives for months: the daemon and its inbox."""
