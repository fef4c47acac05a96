"""Autobahn's fuzzing peer, which listens on nothing but a socket it is handed.

For Python 2.7, the only one Autobahn's test suite runs on; the syntax is Python 3's as well. Its
own command would listen on all interfaces, and on port 8080 for a site. ::

    python2.7 wstest_local.py list    '{"cases": ["1.*"], ...}'
    python2.7 wstest_local.py server  '{"url": "ws://...", "outdir": "...", "fd": 3, ...}'
    python2.7 wstest_local.py client  '{"servers": [{"url": "ws://..."}], "outdir": "...", ...}'
"""

import json
import os
import socket
import sys

sys.path.pop(0)  # beside this file lies another module called autobahn

from autobahntestsuite import choosereactor, fuzzing  # noqa: F401 - the choice comes first
from autobahntestsuite.case import CaseBasename, CaseCategories, Cases, CaseSetname
from autobahntestsuite.case import CaseSubCategories as SubCategories
from autobahntestsuite.caseset import CaseSet
from twisted.internet import reactor


class ServerProtocol(fuzzing.FuzzingServerProtocol):
    """Runs the next case for whoever connects: our client asks for no path but "/"."""

    def onConnect(self, request):
        self.factory.begun += 1
        request.path = "/runCase"
        request.params = {"case": [str(self.factory.begun)], "agent": ["client"]}
        return fuzzing.FuzzingServerProtocol.onConnect(self, request)


class ServerFactory(fuzzing.FuzzingServerFactory):
    """Ends when all cases were run."""

    protocol = ServerProtocol
    begun = 0

    def logCase(self, results):
        fuzzing.FuzzingServerFactory.logCase(self, results)
        if len(self.cases) == len(self.specCases):
            reactor.stop()


def serve(spec):
    factory = ServerFactory(spec)
    reactor.adoptStreamPort(spec["fd"], socket.AF_INET, factory)
    os.close(spec["fd"])  # the reactor has its own
    reactor.run()
    factory.createReports()  # of what there is, also when it was asked to end early


def main(mode, spec):
    if mode == "list":
        cases = CaseSet(CaseSetname, CaseBasename, Cases, CaseCategories, SubCategories)
        sys.stdout.write(json.dumps(cases.parseSpecCases(spec)))
        return
    with open(os.path.join(spec["outdir"], "wstest.log"), "w") as log:
        sys.stdout = log
        if mode == "server":
            serve(spec)
        else:
            fuzzing.startClient(spec)  # writes its reports, and ends, by itself
            reactor.run()
        sys.stdout = sys.__stdout__


def plain(value):
    """Return JSON's text as bytes, which Autobahn wants."""
    if isinstance(value, dict):
        return {plain(key): plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value if isinstance(value, (int, str)) else value.encode()


if __name__ == "__main__":
    main(sys.argv[1], plain(json.loads(sys.argv[2])))
