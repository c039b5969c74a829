"""What `rampart` says of itself, and of what to type next."""

WELCOME = """\
rampart: durable rollouts on Temporal, watched and rolled back by themselves

See it work:
  rampart demo            one version is promoted, one is rolled back; under a minute
  rampart demo --play     break one yourself, by a button, and watch it being rolled back

Use it here:
  rampart dev             Temporal, its web UI, a database, a worker and a gateway

{next}

All commands: rampart --help      Something amiss: rampart doctor\
"""
NEXT = """\
In another terminal:
  rampart version create greeting.system --template "Hello" --tag production
  rampart version create greeting.system --template "Hello, {{user}}"
  rampart start greeting.system 1.0.1 --plan demo
  rampart watch greeting.system\
"""
AFTERWARDS = """\
In another terminal:
  rampart list
  rampart journal greeting.system
  rampart version list\
"""
STARTING = "starting Temporal, a worker and a gateway …"
PREPARING = "starting Temporal, a worker, a dashboard and 500 users a second …"
PLAYING = """\

Open this page, and press "Break the candidate":

  {page}

Temporal UI  {ui}
Ctrl-C ends it.\
"""
