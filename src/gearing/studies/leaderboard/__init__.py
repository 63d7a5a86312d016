"""The leaderboard: fixed tasks, rows of submissions, its page."""
