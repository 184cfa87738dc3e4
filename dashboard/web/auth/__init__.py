"""Decide who is calling and what they may see: sessions, permissions, failed verifications."""
