"""Search methods that the controller is compared with, each behind the same interface and ledger."""
