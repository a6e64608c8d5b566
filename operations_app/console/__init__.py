"""The operators' console at /admin/: Django's admin with a sign-in that counts guesses, a
dashboard, and a page that says what is wrong.
"""
