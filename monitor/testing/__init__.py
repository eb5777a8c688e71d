"""The public test kit for checks and sinks: one probe, or one alert, without a network and without waiting.

    from monitor.testing import answers, check_contract, check_of, look

    def test_a_long_queue_is_down():
        seen = look(check_of(QueueDepth, url="http://queue.test/", most=5), answers(200, b'{"depth": 6}'))
        assert (seen.status, seen.reason.message) == ("down", "expected at most 5 waiting jobs, got 6")

    def test_a_busy_receiver_is_tried_again():
        told = tell(sink_of(Pager, url="http://pager.test/"), answers(503), alert="resolved")
        assert (str(told), told.status) == ("HTTP 503", 503)

    def test_it_keeps_the_contract():
        check_contract(QueueDepth, lambda port: {"url": f"http://127.0.0.1:{port}/"})

The probe is the engine's own (deadline, boundary, phases, facts, expectations); only the clock and the network are
stand-ins. Time is virtual: a check that hangs is a timeout at once. `check_contract` alone works in real time, with
real servers on loopback: what blocks, clings or leaks shows nowhere else.
"""

from monitor.testing.contract import ContractError, check_contract
from monitor.testing.kit import an_alert, answers, check_of, look, sink_of, tell, watch
from monitor.testing.standins import BEGIN, Server

__all__ = [
    "BEGIN",
    "ContractError",
    "Server",
    "an_alert",
    "answers",
    "check_contract",
    "check_of",
    "look",
    "sink_of",
    "tell",
    "watch",
]
