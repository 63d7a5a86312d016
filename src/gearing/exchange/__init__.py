"""What the exchange does to an account: closed-form rules, account records, the compiled kernel."""
