"""Nursery Monitor: the engine. A map of the package, lowest layer first.

core        pure values and decisions; no trio, no I/O
net, store  the seams to the network and to what is kept
processes   the seam to other processes: started, bounded, ended with all they started
threads     calls that block, for checks over synchronous libraries
companion   what stays with an endpoint between its probes
declaring   options of checks and sinks
validators  rules for options that many checks and sinks have
probe       what a check is handed
plugin      what a check is derived from
telling     what a sink is derived from, and handed
api         the public face of these
plugins     finds installed checks and sinks
probing     one probe: deadline and boundary around a check
gauges      observations for Prometheus
exposition  … in the format that it reads
sinks       webhook, mail, Apprise, the log
config      TOML to values, every mistake at once
web         the page, the API, the live feed
watching    sees that a file of the config changed
notify      what the service manager is told
supervisor  one checker task per endpoint
recorder    observation to state, incident, alerts, store
outbox      due deliveries to sinks
watchdog    a thread that notices when the loop does not come round
selfwatch   was it the endpoint, or is it us; our own trouble told
isolation   checks in processes of their own
testing     the public kit to test checks and sinks with
engine      all that works while the store is open
imports     configs of other monitors as ours
early       signals that come while the process is still loading
daemon      the process: `monitor run`
oneshot     `monitor check`
backtest    `monitor backtest`
cli         click commands and renderers
"""
