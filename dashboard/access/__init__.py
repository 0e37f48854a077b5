"""Who may see and do what over HTTP, decided before any page runs.

`rules` says what the settings allow and refuses settings that would open the dashboard to strangers; `guard` applies it
to every request; `login` is the page that turns a token into a session. Pages only read `request.state.visitor`, and
the fields of a form, checked, from `request.state.form`.
"""
