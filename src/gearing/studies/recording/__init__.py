"""What an experiment and its trials record in MLflow."""
