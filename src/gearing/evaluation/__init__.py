"""Judging policies: backtests, performance measures, statistical inference, tables and figures."""
