"""Contacts, and their accounts, that deals of other families name (A6): subscriptions and copies."""
