"""Versions watched for a while, and alerts."""
