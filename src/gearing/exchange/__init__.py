"""The exchange: closed-form rules, account records and the compiled kernel."""
